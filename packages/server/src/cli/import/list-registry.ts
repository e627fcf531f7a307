/** Everything that a server tells of its registry over the API that SPIRE's servers and ours have in common, page by page. */
import { normalizeSelectors } from '@bonafide/shared/registration/selector';
import { bundleFromProto } from '@bonafide/shared/rpc/codec/bundle';
import { entryFromProto } from '@bonafide/shared/rpc/codec/entry';
import { federationRelationshipFromProto } from '@bonafide/shared/rpc/codec/federation';
import { dateFromProto } from '@bonafide/shared/rpc/codec/field';
import { selectorsFromProto } from '@bonafide/shared/rpc/codec/selector';
import { spiffeIdFromProto } from '@bonafide/shared/rpc/codec/spiffe-id';
import type { Agent__Output } from '@bonafide/shared/rpc/gen/spire/api/types/Agent';
import type { ListedRegistry } from '../../spire-import/listed-registry.js';
import { serialNumberFromDecimal } from '../../spire-import/read-nodes.js';
import type { AttestedNode } from '../../store/node-record.js';
import { fetchAgents } from '../agent/fetch-agents.js';
import { listPages } from '../list-pages.js';
import type { ServerConnection } from '../server-connection.js';

export async function listRegistry(
  server: ServerConnection,
  onEntries?: (count: number) => void,
): Promise<ListedRegistry> {
  const bundle = bundleFromProto(await server.call('spire.api.server.bundle.v1.Bundle', 'getBundle', {}));
  const federatedBundles = await listPages(async (page) => {
    const answer = await server.call('spire.api.server.bundle.v1.Bundle', 'listFederatedBundles', page);
    return { items: answer.bundles.map(bundleFromProto), nextPageToken: answer.nextPageToken };
  });
  const relationships = await listPages(async (page) => {
    const service = 'spire.api.server.trustdomain.v1.TrustDomain';
    const answer = await server.call(service, 'listFederationRelationships', page);
    const items = answer.federationRelationships.map(
      (one) => federationRelationshipFromProto(one).relationship,
    );
    return { items, nextPageToken: answer.nextPageToken };
  });
  const entries = await listPages(async (page) => {
    const answer = await server.call('spire.api.server.entry.v1.Entry', 'listEntries', page);
    return { items: answer.entries.map(entryFromProto), nextPageToken: answer.nextPageToken };
  }, onEntries);
  const nodes = (await fetchAgents(server, {})).map(nodeFromProto);
  return { bundle, federatedBundles, relationships, entries, nodes };
}

function nodeFromProto(agent: Agent__Output): AttestedNode {
  const serialNumber = serialNumberFromDecimal(agent.x509svidSerialNumber);
  return {
    agentId: spiffeIdFromProto(agent.id, 'id'),
    attestationType: agent.attestationType,
    serialNumber: agent.banned ? undefined : serialNumber,
    expiresAt: dateFromProto('x509svid_expires_at', agent.x509svidExpiresAt) ?? new Date(0),
    // The API does not tell of an SVID that was renewed and not used yet.
    nextSerialNumber: undefined,
    nextExpiresAt: undefined,
    selectors: normalizeSelectors(selectorsFromProto(agent.selectors)),
    isBanned: agent.banned,
    quarantine: undefined,
    canReattest: agent.canReattest,
    agentVersion: agent.agentVersion || undefined,
  };
}
