/** One call of the agent's to its server: on the latest channel, which is dropped when it does not work. */
import { hasReason } from '@bonafide/shared/errors/bonafide-error';
import type { ServerChannel, ServerChannels } from '../agent-identity/server-connection.js';

export interface ServerCalls {
  readonly connection: ServerChannels;
  /** Told of every failure: some of them say that the server knows this agent no longer. */
  readonly reportRefusal: (error: unknown, channel: ServerChannel) => void;
}

/** @throws what `call` throws. */
export async function callServer<Answer>(
  { connection, reportRefusal }: ServerCalls,
  call: (channel: ServerChannel) => Promise<Answer>,
): Promise<Answer> {
  const channel = connection.channel();
  try {
    return await call(channel);
  } catch (error) {
    reportRefusal(error, channel);
    if (hasReason(error, 'unavailable', 'deadline_exceeded')) connection.discard(channel);
    throw error;
  }
}
