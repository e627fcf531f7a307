import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { MemoryIdentities } from '@bonafide/testing/memory-identities';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { expect, it, onTestFinished } from 'vitest';
import { SECURITY_HEADER } from '../cli/api/workload-call.js';
import { createSocketClient } from '../cli/workload-socket.js';
import { createWorkloadEndpoint } from '../endpoints/workload-endpoint.js';
import { WITHOUT_TOKENS } from '../token-svids/token-samples.js';

it('explains to one process of a user at a time', async () => {
  const directory = createTemporaryDirectory();
  const socketPath = directory.join('agent.sock');
  let begun: () => void = () => undefined;
  const hasBegun = new Promise<void>((resolve) => (begun = resolve));
  let finish: () => void = () => undefined;
  const endpoint = createWorkloadEndpoint({
    ...{ socketPath, identities: new MemoryIdentities(parseTrustDomain('example.org')), ...WITHOUT_TOKENS },
    ...{ attest: () => Promise.resolve([]), clock: systemClock, log: silentLogger },
    selfExplain: {
      audience: 'owner',
      explanations: {
        explain: async (process) => {
          process.close();
          begun();
          await new Promise<void>((resolve) => (finish = resolve));
          throw new BonafideError('not_found', 'looked at to the end');
        },
      },
    },
  });
  await endpoint.listen();
  const client = createSocketClient(socketPath, 'bonafide.agent.v1.SelfExplain');
  onTestFinished(async () => {
    client.close();
    await endpoint.close(0);
    directory.remove();
  });
  const ask = () => callUnary(client, 'ExplainCaller', {}, { metadata: SECURITY_HEADER });

  const first = ask().catch((error: unknown) => error);
  await hasBegun;
  await expect(ask()).rejects.toMatchObject({ reason: 'resource_exhausted' });
  finish();
  expect(await first).toMatchObject({ reason: 'not_found', message: 'looked at to the end' });
});
