import { expect, it } from 'vitest';
import { callNames } from './call-names.js';

it.each([
  ['/spire.api.server.entry.v1.Entry/ListEntries', 'entry.v1.Entry', 'ListEntries'],
  ['/spire.api.server.logger.v1.Logger/GetLogger', 'logger.v1.Logger', 'GetLogger'],
  ['/spire.api.agent.logger.v1.Logger/GetLogger', 'Logger', 'GetLogger'],
  ['/SpiffeWorkloadAPI/FetchX509SVID', 'WorkloadAPI', 'FetchX509SVID'],
  ['/grpc.health.v1.Health/Check', 'Health', 'Check'],
  ['/bonafide.sync.v1.Sync/Watch', 'bonafide.sync.v1.Sync', 'Watch'],
  ['', '', ''],
])('the call %s is %s, %s', (path, service, method) => {
  expect(callNames(path)).toEqual({ service, method });
});
