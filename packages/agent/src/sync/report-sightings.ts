/** One call of SelectorSightings.ReportSightings. */
import type { Selector } from '@bonafide/shared/registration/selector';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { selectorsToProto } from '@bonafide/shared/rpc/codec/selector';
import type { ServerCalls } from './call-server.js';

const LIMIT_MS = 30_000;

/** @throws BonafideError `unimplemented` by a server that is not ours. */
export async function reportSightings(
  { connection }: Pick<ServerCalls, 'connection'>,
  selectors: readonly Selector[],
  signal: AbortSignal,
): Promise<void> {
  // Not through `callServer`: what fails here says nothing of the server's other services, and must not send the agent elsewhere.
  await callUnary(
    connection.channel().client('bonafide.entry.v1.SelectorSightings'),
    'ReportSightings',
    { selectors: selectorsToProto(selectors) },
    { deadlineMs: LIMIT_MS, signal },
  );
}
