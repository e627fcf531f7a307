/** All agents that match. */
import type { ListAgentsRequest } from '@bonafide/shared/rpc/gen/spire/api/server/agent/v1/ListAgentsRequest';
import type { Agent__Output } from '@bonafide/shared/rpc/gen/spire/api/types/Agent';
import { listPages } from '../list-pages.js';
import type { ServerConnection } from '../server-connection.js';

/** @param onAgents told how many each page brought. */
export function fetchAgents(
  server: ServerConnection,
  request: Pick<ListAgentsRequest, 'filter' | 'outputMask'>,
  onAgents?: (count: number) => void,
): Promise<readonly Agent__Output[]> {
  return listPages(async (page) => {
    const { agents: items, nextPageToken } = await server.call(
      'spire.api.server.agent.v1.Agent',
      'listAgents',
      { ...request, ...page },
    );
    return { items, nextPageToken };
  }, onAgents);
}
