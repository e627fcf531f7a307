/** A method that clients may know and this server does not offer yet. */
import type { handleUnaryCall } from '@grpc/grpc-js';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { unaryHandler } from '@bonafide/shared/rpc/handler';
import { callContext } from '../access/call-context.js';

/** @param what the thing that is missing, in words for the caller. */
export function unimplemented<Request, Response>(what: string): handleUnaryCall<Request, Response> {
  return unaryHandler(callContext, () => {
    throw new BonafideError('unimplemented', `${what} is not offered by this server yet`);
  });
}
