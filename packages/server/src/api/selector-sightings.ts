/** bonafide.entry.v1.SelectorSightings: agents tell which selectors of their entries have been presented. */
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { selectorsFromProto } from '@bonafide/shared/rpc/codec/selector';
import { unaryHandler } from '@bonafide/shared/rpc/handler';
import type { Handlers } from '@bonafide/shared/rpc/load-service';
import { callContext, callingAgent } from '../access/call-context.js';
import type { RateLimits } from '../access/rate-limits.js';
import type { SelectorSightings } from '../selector-sightings/selector-sightings.js';

export interface SelectorSightingsApiOptions {
  readonly sightings: SelectorSightings;
  readonly rateLimits: RateLimits;
}

export function createSelectorSightingsHandlers({
  sightings,
  rateLimits,
}: SelectorSightingsApiOptions): Handlers<'bonafide.entry.v1.SelectorSightings'> {
  return {
    ReportSightings: unaryHandler(callContext, async (request, _call, context) => {
      const { agentId } = callingAgent(context);
      await rateLimits.take('status', context.peer, 1, context.signal);
      const selectors = selectorsFromProto(request.selectors);
      if (selectors.length === 0) throw invalidArgument('selectors: is empty; at least one is needed');
      await sightings.note(agentId, selectors);
      return {};
    }),
  };
}
