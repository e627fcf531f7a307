import { connect as connectHttp2, type ClientHttp2Session } from 'node:http2';
import { connect as connectTls } from 'node:tls';
import { readFileSync } from 'node:fs';
import { runAgentProgram } from '@bonafide/agent/cli/program';
import { loadService } from '@bonafide/shared/rpc/load-service';
import { createRecordedHost } from '@bonafide/testing/recorded-host';
import { canRunAsOthers } from '@bonafide/testing/run-as';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { waitFor } from '@bonafide/testing/wait-for';
import { WorkloadProcess } from '@bonafide/testing/workload-process';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { exportPkcs8 } from '@bonafide/shared/crypto/private-key-encoding';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { agentIdOf, InProcessAgent } from './agent-in-process.js';
import {
  ACCOUNTS,
  ADMIN,
  BROKER_RPCS,
  EVERY_RPC,
  outcomeOf,
  requestOf,
  SDS,
  WORKLOAD,
  type Outcome,
} from './agent-rpc-callers.js';
import { InProcessServer } from './server-in-process.js';

describe.runIf(canRunAsOthers())('every RPC of an agent, with every kind of caller (needs root)', () => {
  let directory: TemporaryDirectory;
  let adminDirectory: TemporaryDirectory;
  let server: InProcessServer;
  let agent: InProcessAgent;
  const processes: WorkloadProcess[] = [];

  beforeAll(async () => {
    directory = createTemporaryDirectory({ isPublic: true });
    adminDirectory = createTemporaryDirectory({ isPublic: true });
    server = await InProcessServer.start();
    const joinToken = await server.createToken();
    for (const [path, uid] of [
      ['/delegate', ACCOUNTS.delegate.uid],
      ['/workload', ACCOUNTS.workload.uid],
      ['/broker', 0],
    ] as const) {
      const selectors = [{ type: 'unix', value: `uid:${uid}` }];
      await server.createEntry(agentIdOf(joinToken), path, { selectors });
    }
    agent = await InProcessAgent.start({
      ...{ server, joinToken },
      config: {
        agent: {
          admin_socket_path: adminDirectory.join('admin/admin.sock'),
          admin_socket_mode: '0666',
          authorized_delegates: ['spiffe://example.org/delegate'],
          broker: {
            socket_path: directory.join('broker.sock'),
            brokers: [{ id: 'spiffe://example.org/broker', allowed_reference_types: [{ type_url: '*' }] }],
          },
        },
      },
    });
    await agent.fetched('the SVID of the broker');
  });
  afterAll(async () => {
    for (const each of processes) each[Symbol.dispose]();
    await agent[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
    directory.remove();
    adminDirectory.remove();
  });

  async function connected(socketPath: string, name?: keyof typeof ACCOUNTS): Promise<WorkloadProcess> {
    const caller = await WorkloadProcess.start(name && ACCOUNTS[name]);
    processes.push(caller);
    await caller.connect(socketPath);
    return caller;
  }

  async function outcome(caller: WorkloadProcess, rpc: string, headers: object): Promise<Outcome> {
    const request = requestOf(rpc);
    const call = caller.call(rpc, {
      headers: headers as Record<string, string>,
      ...(request === undefined ? {} : { request }),
    });
    const found = await waitFor(`an answer of ${rpc}`, (): Outcome | undefined => {
      const [message] = caller.messages(call);
      if (message !== undefined) {
        return rpc.startsWith(SDS) && !message.includes('PRIVATE KEY') ? 'nothing' : 'served';
      }
      const status = caller.statusNow(call);
      return status && outcomeOf(status.code);
    });
    caller.cancel(call);
    return found;
  }

  /** The table, and that nothing else is there for those who may do most. */
  async function expectTable(
    table: Readonly<Record<string, readonly Outcome[]>>,
    ask: readonly ((rpc: string) => Promise<Outcome>)[],
  ): Promise<void> {
    const found: Record<string, readonly Outcome[]> = {};
    for (const rpc of EVERY_RPC) {
      const outcomes: Outcome[] = [];
      for (const each of ask) outcomes.push(await each(rpc));
      if (rpc in table || outcomes.some((each) => each === 'served' || each === 'nothing'))
        found[rpc] = outcomes;
    }
    expect(found).toEqual(table);
  }

  it('on the admin socket', async () => {
    const path = adminDirectory.join('admin/admin.sock');
    const callers = [
      await connected(path),
      await connected(path, 'delegate'),
      await connected(path, 'workload'),
      await connected(path, 'stranger'),
    ];
    await expectTable(
      ADMIN,
      callers.map((caller) => (rpc) => outcome(caller, rpc, {})),
    );
  });

  it('on the socket of the Workload API', async () => {
    const workload = await connected(agent.socketPath, 'workload');
    const stranger = await connected(agent.socketPath, 'stranger');
    const header = { 'workload.spiffe.io': 'true' };
    await expectTable(WORKLOAD, [
      (rpc) => outcome(workload, rpc, header),
      (rpc) => outcome(workload, rpc, {}),
      (rpc) => outcome(stranger, rpc, header),
    ]);
  });

  it('on the broker endpoint', async () => {
    const host = createRecordedHost();
    const write = ['--write', directory.path, '--socket-path', agent.socketPath];
    expect(await runAgentProgram(['api', 'fetch', 'x509', ...write], host)).toBe(0);
    const file = (name: string): Buffer => readFileSync(directory.join(name));
    const broker = { cert: file('svid.0.pem'), key: file('svid.0.key') };
    const forger = await (await TestAuthority.create('example.org')).issueX509Svid('/broker');
    const forged = {
      cert: forger.certificateChain.map((der) => encodePem('CERTIFICATE', der)).join(''),
      key: encodePem('PRIVATE KEY', exportPkcs8(forger.privateKey)),
    };
    const header = { 'broker.spiffe.io': 'true' };
    const ask =
      (identity: object, headers: object) =>
      (rpc: string): Promise<Outcome> =>
        brokerOutcome(directory.join('broker.sock'), identity, rpc, headers);
    const other = await otherSvid();
    await expectTable(BROKER_RPCS, [
      ask(broker, header),
      ask(broker, {}),
      ask(other, header),
      ask(forged, header),
      ask({}, header),
    ]);
  });

  /** Of the workload, which is no broker. */
  async function otherSvid(): Promise<{ readonly cert: string; readonly key: string }> {
    const workload = await connected(agent.socketPath, 'workload');
    const { definition } = loadService('SpiffeWorkloadAPI');
    const call = workload.call('SpiffeWorkloadAPI/FetchX509SVID');
    const { svids } = definition.FetchX509SVID.responseDeserialize(await workload.message(call));
    const [svid] = svids;
    if (svid === undefined) throw new Error('the workload has no SVID');
    return { cert: encodePem('CERTIFICATE', svid.x509Svid), key: encodePem('PRIVATE KEY', svid.x509SvidKey) };
  }
});

/** On a connection of its own. */
function brokerOutcome(path: string, identity: object, rpc: string, headers: object): Promise<Outcome> {
  const tls = connectTls({ path, ...identity, rejectUnauthorized: false, ALPNProtocols: ['h2'] });
  return new Promise<Outcome>((resolve) => {
    const cut = (): void => {
      resolve('cut');
    };
    tls.on('error', cut);
    tls.on('close', cut);
    tls.once('secureConnect', () => {
      const session: ClientHttp2Session = connectHttp2('https://localhost', { createConnection: () => tls });
      session.on('error', cut);
      const pseudo = { ':method': 'POST', ':path': `/${rpc}`, 'content-type': 'application/grpc' };
      const stream = session.request({ ...pseudo, te: 'trailers', ...headers });
      const status = (fields: Readonly<Record<string, unknown>>): void => {
        if (fields['grpc-status'] === undefined) return;
        resolve(outcomeOf(Number(fields['grpc-status'])));
      };
      stream.on('response', status).on('trailers', status).on('error', cut);
      stream.on('data', () => {
        resolve('served');
      });
      const body = requestOf(rpc) ?? Buffer.alloc(0);
      const frame = Buffer.concat([Buffer.alloc(5), body]);
      frame.writeUInt32BE(body.length, 1);
      stream.end(frame);
    });
  }).finally(() => {
    tls.destroy();
  });
}
