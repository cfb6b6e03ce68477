// The hub, asked in types: the documents of operations.ts say what goes in and what comes out.
import type { TypedDocumentNode } from "@graphql-typed-document-node/core";
import { type ExecutionResult, print } from "graphql";
import { type Client, createClient } from "graphql-ws";
import WebSocket from "ws";

export class Hub {
  readonly #url: string;
  readonly #authorization: string;
  readonly #socket: Client;

  constructor(url: string, token: string) {
    this.#url = url;
    this.#authorization = `Bearer ${token}`;
    this.#socket = createClient({
      url: url.replace(/^http/, "ws"),
      webSocketImpl: WebSocket,
      connectionParams: { authorization: this.#authorization },
    });
  }

  /** The data of a query or a mutation; throws on any error of GraphQL. */
  async ask<Data, Variables>(document: TypedDocumentNode<Data, Variables>, variables: Variables): Promise<Data> {
    const answer = await fetch(this.#url, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: this.#authorization },
      body: JSON.stringify({ query: print(document), variables }),
    });
    return data((await answer.json()) as ExecutionResult<Data>);
  }

  /** What a subscription tells, until the loop over it is left. */
  async *follow<Data, Variables extends Record<string, unknown>>(
    document: TypedDocumentNode<Data, Variables>,
    variables: Variables,
  ): AsyncGenerator<Data> {
    for await (const result of this.#socket.iterate<Data>({ query: print(document), variables })) {
      yield data(result as ExecutionResult<Data>);
    }
  }

  async close(): Promise<void> {
    await this.#socket.dispose();
  }
}

function data<Data>(result: ExecutionResult<Data>): Data {
  if (result.errors?.length || result.data == null) {
    throw new Error(JSON.stringify(result.errors ?? "no data"));
  }
  return result.data;
}
