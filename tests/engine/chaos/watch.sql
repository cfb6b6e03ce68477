-- Watches the queue, the leases and the steps from inside the database, and notes each change that may never happen.

CREATE SCHEMA chaos;

CREATE TABLE chaos.violations (execution_id uuid NOT NULL, what text NOT NULL, told jsonb NOT NULL);

CREATE FUNCTION chaos.note(execution_id uuid, what text, told jsonb) RETURNS void LANGUAGE sql AS
$$ INSERT INTO chaos.violations VALUES (execution_id, what, told) $$;

CREATE FUNCTION chaos.watch_execution() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    told jsonb := jsonb_build_object('old', to_jsonb(OLD) - 'input_context', 'new', to_jsonb(NEW) - 'input_context');
BEGIN
    IF NEW.fence < OLD.fence THEN
        PERFORM chaos.note(NEW.execution_id, 'the fence fell', told);
    END IF;
    IF NEW.wake_seq < OLD.wake_seq OR NEW.handled_seq < OLD.handled_seq THEN
        PERFORM chaos.note(NEW.execution_id, 'the queue went back', told);
    END IF;
    IF NEW.version NOT IN (OLD.version, OLD.version + 1) THEN
        PERFORM chaos.note(NEW.execution_id, 'a version was left out', told);
    END IF;
    -- whoever puts an execution off keeps its lease for a while, and gives up the fence with which it worked
    IF NEW.lease_owner IS DISTINCT FROM OLD.lease_owner AND NEW.lease_owner IS NOT NULL AND NEW.fence <> OLD.fence
        AND OLD.lease_until >= clock_timestamp() THEN
        PERFORM chaos.note(NEW.execution_id, 'a lease was taken before it had ended', told);
    END IF;
    IF NEW.lease_owner IS NOT NULL AND NEW.lease_owner IS DISTINCT FROM OLD.lease_owner AND NEW.fence = OLD.fence THEN
        PERFORM chaos.note(NEW.execution_id, 'a lease was taken without a new fence', told);
    END IF;
    IF OLD.execution_status IN ('completed', 'cancelled') AND to_jsonb(NEW) <> to_jsonb(OLD) THEN
        PERFORM chaos.note(NEW.execution_id, 'an execution changed after its end', told);
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER watch AFTER UPDATE ON workflow_executions FOR EACH ROW EXECUTE FUNCTION chaos.watch_execution();
ALTER TABLE workflow_executions ENABLE ALWAYS TRIGGER watch;

CREATE FUNCTION chaos.watch_step() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR OLD.step_status <> 'running'
        OR (OLD.execution_id, OLD.step_number, OLD.phase, OLD.attempt, OLD.started_at)
            IS DISTINCT FROM (NEW.execution_id, NEW.step_number, NEW.phase, NEW.attempt, NEW.started_at) THEN
        PERFORM chaos.note(OLD.execution_id, 'a step was changed that has ended', jsonb_build_object('old', to_jsonb(OLD)));
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER watch AFTER UPDATE OR DELETE ON workflow_steps FOR EACH ROW EXECUTE FUNCTION chaos.watch_step();
ALTER TABLE workflow_steps ENABLE ALWAYS TRIGGER watch;

CREATE FUNCTION chaos.watch_task() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status = 'completed' AND (NEW.status, NEW.result) IS DISTINCT FROM (OLD.status, OLD.result) THEN
        PERFORM chaos.note(OLD.execution_id, 'a result was replaced', jsonb_build_object('old', to_jsonb(OLD) - 'input'));
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER watch AFTER UPDATE ON tasks FOR EACH ROW EXECUTE FUNCTION chaos.watch_task();
ALTER TABLE tasks ENABLE ALWAYS TRIGGER watch;
