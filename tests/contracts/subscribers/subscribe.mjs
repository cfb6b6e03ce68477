// Reads once and then follows a subscription, by a client that browsers' applications use; prints a line of JSON for each
// result. Arguments: the client, the hub's address without scheme, the token, what to read, and what to follow
// (each as JSON: {query, variables}). It ends with the subscription, or when its standard input is closed.
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from "@apollo/client";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { Client, cacheExchange, fetchExchange, subscriptionExchange } from "@urql/core";
import { createClient as createSseClient } from "graphql-sse";
import { createClient as createWsClient } from "graphql-ws";
import WebSocket from "ws";

const [name, address, token, reading, following] = process.argv.slice(2);
const http = `http://${address}`;
const headers = { authorization: `Bearer ${token}` };

const print = (line) => process.stdout.write(JSON.stringify(line) + "\n");
const end = () => process.exit(0);
const socket = () =>
  createWsClient({ url: `ws://${address}`, webSocketImpl: WebSocket, connectionParams: headers, retryAttempts: 0 });

function described(failure) {
  if (Array.isArray(failure)) return failure;
  const inner = failure.graphQLErrors ?? failure.errors;
  return inner?.length ? inner.map(({ message, extensions }) => ({ message, extensions })) : [{ message: String(failure) }];
}

const sink = {
  next: ({ data, error, errors }) => print(error || errors ? { errors: described(error ?? errors) } : { data }),
  error: (failure) => (print({ errors: described(failure) }), end()),
  complete: end,
};

// each returns {read, follow}: a promise of the data, and a subscription that feeds the sink
const clients = {
  "graphql-ws": () => {
    const client = socket();
    const read = async (operation) => {
      for await (const { data } of client.iterate(operation)) return data;
    };
    return { read, follow: (operation) => client.subscribe(operation, sink) };
  },
  "graphql-sse": () => {
    const client = createSseClient({ url: `${http}`, headers, retryAttempts: 0 });
    const read = async (operation) => {
      for await (const { data } of client.iterate(operation)) return data;
    };
    return { read, follow: (operation) => client.subscribe(operation, sink) };
  },
  urql: () => {
    const sockets = socket();
    const forward = ({ query, variables }) => ({
      subscribe: (observer) => ({ unsubscribe: sockets.subscribe({ query: query ?? "", variables }, observer) }),
    });
    const exchanges = [cacheExchange, fetchExchange, subscriptionExchange({ forwardSubscription: forward })];
    const client = new Client({ url: http, exchanges, fetchOptions: { headers }, preferGetMethod: false });
    const read = async ({ query, variables }) => (await client.query(query, variables).toPromise()).data;
    return { read, follow: ({ query, variables }) => client.subscription(query, variables).subscribe(sink.next) };
  },
  apollo: () => {
    const isSubscription = ({ operationType }) => operationType === "subscription";
    const link = ApolloLink.split(isSubscription, new GraphQLWsLink(socket()), new HttpLink({ uri: http, headers }));
    const client = new ApolloClient({ link, cache: new InMemoryCache() });
    const read = async ({ query, variables }) => (await client.query({ query: gql(query), variables })).data;
    return {
      read,
      follow: ({ query, variables }) =>
        client.subscribe({ query: gql(query), variables, fetchPolicy: "no-cache" }).subscribe(sink),
    };
  },
};

process.stdin.on("end", end).resume();
const { read, follow } = clients[name]();
print({ data: await read(JSON.parse(reading)) });
follow(JSON.parse(following));
