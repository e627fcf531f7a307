import { parseSelector } from '@bonafide/shared/registration/selector';
import type { ServiceName } from '@bonafide/shared/rpc/services';
import { StubStatus, startStubServices, type StubServices } from '@bonafide/testing/stub-services';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createSocketClient } from '../cli/workload-socket.js';
import type { ServerWord } from '../explain/explanation.js';
import { createServerWitness } from './ask-about-workload.js';

const SERVICE = 'bonafide.entry.v1.WorkloadExplanation';
const SELECTORS = [
  'unix:uid:1',
  'docker:env:TOKEN=hunter2',
  'docker:label:tier:web',
  'podman:env:KEY=hunter2',
  'homemade:word:hunter2',
];

describe('what an agent asks its server about a workload', () => {
  let directory: TemporaryDirectory;
  let server: StubServices | undefined;

  beforeEach(() => {
    directory = createTemporaryDirectory();
    server = undefined;
  });
  afterEach(async () => {
    await server?.stop();
    directory.remove();
  });

  function ask(selectors: readonly string[], { isConnected = true } = {}): Promise<ServerWord> {
    const socketPath = directory.join('server.sock');
    const channel = {
      identity: undefined,
      superseded: new AbortController().signal,
      client: <Name extends ServiceName>(name: Name) => createSocketClient(socketPath, name),
    };
    return createServerWitness({ connection: { channel: () => channel }, sync: { isConnected } }).ask({
      selectors: selectors.map(parseSelector),
      heldEntryIds: ['held'],
      signal: new AbortController().signal,
    });
  }

  async function serve(answer: () => object): Promise<StubServices> {
    server = await startStubServices(directory.join('server.sock'), {
      [SERVICE]: { ExplainWorkload: answer },
    });
    return server;
  }

  it('holds no value that may be a secret', async () => {
    const { calls } = await serve(() => ({ revision: 7, acknowledgedRevision: 6 }));
    const word = await ask(SELECTORS);
    expect(word).toMatchObject({ problem: undefined, isWithoutSecrets: true, revision: 7 });
    expect(JSON.stringify(calls)).not.toContain('hunter2');
    expect(calls).toMatchObject([
      {
        request: {
          selectors: [
            { type: 'unix', value: 'uid:1' },
            { type: 'docker', value: 'label:tier:web' },
          ],
          heldEntryIds: ['held'],
        },
      },
    ]);
  });

  it('is answered by a SPIRE server, which has no such service, with nothing', async () => {
    server = await startStubServices(directory.join('server.sock'), {
      'spire.api.server.entry.v1.Entry': { CountEntries: () => ({ count: 1 }) },
    });
    expect(await ask(['unix:uid:1'])).toMatchObject({
      problem: 'it cannot tell: it has no WorkloadExplanation service, as a SPIRE server has none',
      entries: [],
      isWithoutSecrets: false,
    });
  });

  it('is answered in the words of a server that tells agents nothing', async () => {
    await serve(() => {
      throw new StubStatus(status.PERMISSION_DENIED, 'this server does not tell agents');
    });
    expect(await ask(['unix:uid:1'])).toMatchObject({ problem: 'this server does not tell agents' });
  });

  it('is not asked while there is no connection', async () => {
    const { calls } = await serve(() => ({}));
    expect(await ask(['unix:uid:1'], { isConnected: false })).toMatchObject({
      problem: 'the agent is not connected to it',
    });
    expect(calls).toEqual([]);
  });
});
