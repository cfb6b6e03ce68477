// Follows one subscription with the npm package graphql-ws and prints each payload as a line of JSON.
// Arguments: the address, the token, the operation as JSON ({query, variables}), and how many payloads to wait for.
import { createClient } from "graphql-ws";
import WebSocket from "ws";

const [url, token, operation, count] = process.argv.slice(2);
const client = createClient({
  url,
  webSocketImpl: WebSocket,
  connectionParams: { authorization: `Bearer ${token}` },
  retryAttempts: 0,
});

let left = Number(count);
const print = (value) => process.stdout.write(JSON.stringify(value) + "\n");
const stop = client.subscribe(JSON.parse(operation), {
  next: (result) => {
    print(result);
    left -= 1;
    if (left === 0) stop();
  },
  error: (error) => {
    print(error instanceof Error || Array.isArray(error) ? { error } : { error: { code: error.code, reason: error.reason } });
    process.exitCode = 1;
    client.dispose();
  },
  complete: () => client.dispose(),
});
