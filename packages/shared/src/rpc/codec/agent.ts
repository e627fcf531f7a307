/** Attested nodes on the wire. */
import type { Selector } from '../../registration/selector.js';
import { unixSeconds } from '../../runtime/clock.js';
import type { SpiffeId } from '../../spiffe-id/spiffe-id.js';
import type { Agent } from '../gen/spire/api/types/Agent.js';
import type { AgentMask__Output } from '../gen/spire/api/types/AgentMask.js';
import { selectorsToProto } from './selector.js';
import { spiffeIdToProto } from './spiffe-id.js';

/** What the server tells of a node. */
interface ShownAgent {
  readonly agentId: SpiffeId;
  readonly attestationType: string;
  /** Hexadecimal. */
  readonly serialNumber: string | undefined;
  readonly expiresAt: Date;
  readonly selectors: readonly Selector[];
  readonly isBanned: boolean;
  readonly canReattest: boolean;
  readonly agentVersion: string | undefined;
}

const ALL_AGENT_FIELDS: Readonly<AgentMask__Output> = {
  attestationType: true,
  x509svidSerialNumber: true,
  x509svidExpiresAt: true,
  selectors: true,
  banned: true,
  canReattest: true,
  agentVersion: true,
};

/** @param mask every field when absent; the id is always there. */
export function agentToProto(agent: ShownAgent, mask: Readonly<AgentMask__Output> | null = null): Agent {
  const shows = mask ?? ALL_AGENT_FIELDS;
  return {
    id: spiffeIdToProto(agent.agentId),
    ...(shows.attestationType && { attestationType: agent.attestationType }),
    ...(shows.x509svidSerialNumber && { x509svidSerialNumber: decimal(agent.serialNumber) }),
    ...(shows.x509svidExpiresAt && { x509svidExpiresAt: unixSeconds(agent.expiresAt) }),
    ...(shows.selectors && { selectors: selectorsToProto(agent.selectors) }),
    ...(shows.banned && { banned: agent.isBanned }),
    ...(shows.canReattest && { canReattest: agent.canReattest }),
    ...(shows.agentVersion && { agentVersion: agent.agentVersion ?? '' }),
  };
}

/** SPIRE shows serial numbers in decimal. */
function decimal(hexadecimal: string | undefined): string {
  return hexadecimal === undefined ? '' : BigInt(`0x${hexadecimal}`).toString();
}
