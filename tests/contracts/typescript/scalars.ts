// What the hub's scalars are in TypeScript: what JSON carries, told apart where one would be taken for another.

declare const kind: unique symbol;

/** A place in a connection or a stream; good only where it came from, so that no other string passes for it. */
export type Cursor = string & { readonly [kind]: "Cursor" };

/** RFC 3339, such as 2026-11-22T19:12:00.123456+00:00; `new Date(…)` reads it, to the millisecond. */
export type DateTime = string;

/** Exact, as text; a number would round it. */
export type Decimal = `${number}`;

export type DecimalInput = Decimal | number;

export type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json };
