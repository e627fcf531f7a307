/** One call of the agent's to its server: on the latest channel, which is dropped when it does not work. */
import { hasReason } from '@bonafide/shared/errors/bonafide-error';
import type { ServerChannel, ServerChannels } from '../agent-identity/server-connection.js';

export interface ServerCalls {
  readonly connection: ServerChannels;
  /** Told of every failure: some of them say that the server knows this agent no longer. */
  readonly reportRefusal: (error: unknown, channel: ServerChannel) => void;
}

/**
 * @param call may be made twice: one that still waits for its connection when the agent's identity or bundle is renewed is lost with it.
 * @throws what `call` throws.
 */
export async function callServer<Answer>(
  { connection, reportRefusal }: ServerCalls,
  call: (channel: ServerChannel) => Promise<Answer>,
): Promise<Answer> {
  for (let isFirst = true; ; isFirst = false) {
    const channel = connection.channel();
    try {
      return await call(channel);
    } catch (error) {
      const isUnavailable = hasReason(error, 'unavailable');
      if (isFirst && isUnavailable && connection.channel() !== channel) continue;
      reportRefusal(error, channel);
      if (isUnavailable || hasReason(error, 'deadline_exceeded')) connection.discard(channel);
      throw error;
    }
  }
}
