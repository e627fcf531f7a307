/** What the generated client types say about a method: its kind, what goes in and what comes out. */
import type {
  CallOptions,
  Client,
  ClientDuplexStream,
  ClientReadableStream,
  ClientUnaryCall,
  requestCallback,
} from '@grpc/grpc-js';

type UnaryMethod = (argument: never, callback: requestCallback<unknown>) => ClientUnaryCall;
type ServerStreamMethod = (argument: never, options?: CallOptions) => ClientReadableStream<unknown>;
type BidiMethod = (options?: CallOptions) => ClientDuplexStream<never, unknown>;

type MethodName<C, Shape> = {
  [Name in Exclude<keyof C, keyof Client>]: C[Name] extends Shape ? Name : never;
}[Exclude<keyof C, keyof Client>];

export type UnaryMethodName<C> = MethodName<C, UnaryMethod>;
export type ServerStreamMethodName<C> = MethodName<C, ServerStreamMethod>;
export type BidiMethodName<C> = MethodName<C, BidiMethod>;

export type UnaryRequest<Method> = Method extends (
  argument: infer Request,
  callback: requestCallback<unknown>,
) => ClientUnaryCall
  ? Request
  : never;
export type UnaryResponse<Method> = Method extends (
  argument: never,
  callback: requestCallback<infer Response>,
) => ClientUnaryCall
  ? Response
  : never;

export type ServerStreamRequest<Method> = Method extends (
  argument: infer Request,
  options?: CallOptions,
) => ClientReadableStream<unknown>
  ? Request
  : never;
export type ServerStreamResponse<Method> = Method extends (
  argument: never,
  options?: CallOptions,
) => ClientReadableStream<infer Response>
  ? Response
  : never;

export type BidiRequest<Method> = Method extends (
  options?: CallOptions,
) => ClientDuplexStream<infer Request, unknown>
  ? Request
  : never;
export type BidiResponse<Method> = Method extends (
  options?: CallOptions,
) => ClientDuplexStream<never, infer Response>
  ? Response
  : never;
