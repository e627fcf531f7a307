/** All agents that match, page by page. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { ListAgentsRequest } from '@bonafide/shared/rpc/gen/spire/api/server/agent/v1/ListAgentsRequest';
import type { Agent__Output } from '@bonafide/shared/rpc/gen/spire/api/types/Agent';
import type { ServerConnection } from '../server-connection.js';

const PAGE_SIZE = 1000;

export async function fetchAgents(
  server: ServerConnection,
  request: Pick<ListAgentsRequest, 'filter' | 'outputMask'>,
): Promise<readonly Agent__Output[]> {
  const agents: Agent__Output[] = [];
  let pageToken = '';
  do {
    const page = await server.call('spire.api.server.agent.v1.Agent', 'listAgents', {
      ...request,
      pageSize: PAGE_SIZE,
      pageToken,
    });
    if (page.nextPageToken !== '' && page.nextPageToken === pageToken) {
      throw new BonafideError('internal', 'the server gave the same page twice');
    }
    agents.push(...page.agents);
    pageToken = page.nextPageToken;
  } while (pageToken !== '');
  return agents;
}
