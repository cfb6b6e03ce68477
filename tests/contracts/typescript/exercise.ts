// A worker's day, by the generated client: node exercise.ts URL TOKEN AGENT_ID CURSOR. Prints what it saw as JSON.
import { Hub } from "./client.ts";
import {
  AgentRegisterDocument,
  FindNodeDocument,
  ListMeasurementsDocument,
  ModelAssignmentCompleteDocument,
  ModelAssignmentRecordDocument,
  ResourceMetricsRecordDocument,
  TaskAtHandDocument,
  TaskChangesDocument,
  TaskClaimDocument,
  TaskCompleteDocument,
  TaskCreateDocument,
  TaskStartDocument,
} from "./operations.ts";
import type { Cursor, DateTime } from "./scalars.ts";

const [url = "", token = "", agentId = "", start = ""] = process.argv.slice(2);
const hub = new Hub(url, token);

function known<T>(value: T | null | undefined): T {
  if (value == null) throw new Error("the hub left something out");
  return value;
}

async function eventsAfter(taskId: string, after: Cursor): Promise<{ types: string[]; cursors: Cursor[] }> {
  const types: string[] = [];
  const cursors: Cursor[] = [];
  for await (const { taskChanged } of hub.follow(TaskChangesDocument, { taskId, after })) {
    types.push(`${taskChanged.eventType} ${taskChanged.toStatus}`);
    cursors.push(taskChanged.cursor);
    if (taskChanged.toStatus === "COMPLETED") break;
  }
  return { types, cursors };
}

await hub.ask(AgentRegisterDocument, { input: { agentId, agentRole: "DEVELOPER", capabilities: [agentId] } });
const given = { title: "Build it", requiredCapabilities: [agentId], input: { deep: [1, null, { word: "grün" }] } };
const rehearsal = known((await hub.ask(TaskCreateDocument, { input: { ...given, dryRun: true } })).taskCreate.dryRun);
const { taskId } = known((await hub.ask(TaskCreateDocument, { input: given })).taskCreate.task);
const claimed = known((await hub.ask(TaskClaimDocument, { input: { agentId, taskId } })).taskClaim.task);
const stale = await hub.ask(TaskStartDocument, { input: { taskId, expectedVersion: 1 } });
const version = claimed.version;
const started = known((await hub.ask(TaskStartDocument, { input: { taskId, expectedVersion: version } })).taskStart.task);

const recorded = await hub.ask(ModelAssignmentRecordDocument, {
  input: { agentId, taskId, providerName: "ZAI_GLM", modelName: "glm-5", assignmentReason: "COST_OPTIMIZATION" },
});
const assignment = known(recorded.modelAssignmentRecord.modelAssignment);
const completed = await hub.ask(ModelAssignmentCompleteDocument, {
  input: {
    assignmentId: assignment.assignmentId,
    expectedVersion: assignment.version,
    actualCost: "0.123456",
    tokensUsed: Number.MAX_SAFE_INTEGER,
  },
});
const used = known(completed.modelAssignmentComplete.modelAssignment);

const measurementTime: DateTime = new Date().toISOString();
await hub.ask(ResourceMetricsRecordDocument, {
  input: { measurements: [{ measurementTime, agentId, cpuUsage: 12.5, memoryUsage: "0.1" }] },
});
const [measured] = known((await hub.ask(ListMeasurementsDocument, { first: 1 })).resourceMetrics).nodes;

await hub.ask(TaskCompleteDocument, { input: { taskId, expectedVersion: started.version, result: { done: true } } });
const all = await eventsAfter(taskId, start as Cursor);
const rest = await eventsAfter(taskId, known(all.cursors[1]));
const atHand = known((await hub.ask(TaskAtHandDocument, { taskId })).task);
const found = known((await hub.ask(FindNodeDocument, { id: atHand.id })).node);

const seen = {
  rehearsed: [rehearsal.wouldSucceed, ...rehearsal.changes.map((change) => change.eventType)],
  input: claimed.input,
  refused: stale.taskStart.userErrors.map((error) => [error.code, error.currentVersion]),
  tokens: used.tokensUsed,
  cost: used.actualCost,
  measured: [known(measured).cpuUsage, known(measured).memoryUsage],
  sameMoment: new Date(known(measured).measurementTime).getTime() === new Date(measurementTime).getTime(),
  events: all.types,
  resumed: rest.types,
  status: atHand.status,
  node: found.__typename === "Task" ? found.title : found.__typename,
};
process.stdout.write(JSON.stringify(seen));
await hub.close();
