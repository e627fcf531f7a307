import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import type { Server } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { formatSelector } from '@bonafide/shared/registration/selector';
import type { LaunchedProcess } from '@bonafide/testing/launched-process';
import { hasMessageBus, startMessageBus } from '@bonafide/testing/message-bus';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import type { AttestedProcess } from '../attested-process.js';
import { attestorHost } from '../attestor-host-samples.js';
import type { WorkloadAttestor } from '../workload-attestor.js';
import { answer, reply, serveInPlaceOfBus, serveOnBus } from './bus-samples.js';
import { systemd } from './systemd.js';

const NGINX = 'nginx.service';
const UNITS = new Map([[NGINX, { Id: NGINX, FragmentPath: '/lib/systemd/system/nginx.service' }]]);
const SELECTORS = [
  'systemd:id:nginx.service',
  'systemd:slice:system.slice',
  'systemd:fragment_path:/lib/systemd/system/nginx.service',
];
const never = new AbortController().signal;

let directory: TemporaryDirectory;
let attestor: WorkloadAttestor | undefined;
let server: Server | undefined;
let bus: LaunchedProcess | undefined;

beforeEach(() => {
  directory = createTemporaryDirectory();
});
afterEach(async () => {
  attestor?.close?.();
  server?.close();
  server = undefined;
  await bus?.stop();
  bus = undefined;
  directory.remove();
});

function inUnit(unit = NGINX): AttestedProcess {
  const procPath = directory.join(`proc-${unit}`);
  mkdirSync(procPath, { recursive: true });
  writeFileSync(`${procPath}/cgroup`, `0::/system.slice/${unit}\n`);
  return { pid: 7, uid: 1000, gid: 1000, procPath, isAlive: () => true };
}

async function attest(
  process: AttestedProcess,
  config: object = {},
  signal = never,
): Promise<readonly string[]> {
  const full = systemd.configSchema.parse({ dbus_socket_path: directory.join('bus'), ...config });
  attestor ??= systemd.create(full, attestorHost());
  return (await attestor.attest(process, signal)).map(formatSelector);
}

beforeEach(() => {
  attestor = undefined;
});

describe('the systemd attestor', () => {
  it.skipIf(!hasMessageBus())('asks systemd over a real message bus (needs dbus-daemon)', async () => {
    bus = await startMessageBus(directory.join('bus'));
    const manager = await serveOnBus(directory.join('bus'), UNITS);
    expect(await attest(inUnit())).toEqual(SELECTORS);
    await expect(attest(inUnit('gone.service'))).rejects.toThrow('Unit gone.service not loaded.');
    manager.close();
    await waitFor('systemd to be missed', () =>
      attest(inUnit()).then(
        () => false,
        () => true,
      ),
    );
    const next = await serveOnBus(directory.join('bus'), UNITS);
    expect(await attest(inUnit())).toEqual(SELECTORS);
    next.close();
  });

  it('knows unit and slice without asking anybody, if told so', async () => {
    expect(await attest(inUnit(), { use_dbus: false })).toEqual(SELECTORS.slice(0, 2));
  });

  it('proves nothing about a process that is in no unit, bus or not', async () => {
    const process = inUnit();
    writeFileSync(`${process.procPath}/cgroup`, '0::/\n');
    expect(await attest(process)).toEqual([]);
  });

  it('fails while there is no bus, and works as soon as there is', async () => {
    await expect(attest(inUnit())).rejects.toThrow('cannot talk to D-Bus');
    server = await serveInPlaceOfBus(directory.join('bus'), (message, socket) =>
      socket.write(answer(message, UNITS)),
    );
    expect(await attest(inUnit())).toEqual(SELECTORS);
  });

  it('answers a hundred at once over one connection', async () => {
    let connections = 0;
    server = await serveInPlaceOfBus(directory.join('bus'), (message, socket) =>
      socket.write(answer(message, UNITS)),
    );
    server.on('connection', () => (connections += 1));
    const all = await Promise.all(Array.from({ length: 100 }, () => attest(inUnit())));
    expect(new Set(all.map((each) => each.join()))).toEqual(new Set([SELECTORS.join()]));
    expect(connections).toBe(1);
  });

  it('takes another connection after one that hangs, and nobody waits longer than told', async () => {
    let isHanging = true;
    server = await serveInPlaceOfBus(directory.join('bus'), (message, socket) => {
      if (!isHanging) socket.write(answer(message, UNITS));
    });
    const limit = new AbortController();
    const waiting = attest(inUnit(), {}, limit.signal);
    waiting.catch(() => undefined);
    await waitFor(
      'a connection',
      () =>
        new Promise<boolean>((resolve) =>
          server?.getConnections((_, count) => {
            resolve(count === 1);
          }),
        ),
    );
    limit.abort();
    await expect(waiting).rejects.toMatchObject({ reason: 'deadline_exceeded' });
    isHanging = false;
    expect(await attest(inUnit())).toEqual(SELECTORS);
  });

  it.each([
    [
      'another unit',
      (member: unknown) => (member === 'GetUnit' ? ['o', '/x'] : ['v', 'other.service']),
      'takes nginx.service for',
    ],
    [
      'a path that is none',
      (member: unknown, body: readonly string[]) =>
        member === 'GetUnit' ? ['o', '/x'] : ['v', body[1] === 'Id' ? NGINX : 'x'],
      'no path',
    ],
    ['nothing', () => ['s', ''], 'takes nginx.service for'],
  ] as const)('believes no bus that answers with %s', async (_, lie, words) => {
    server = await serveInPlaceOfBus(directory.join('bus'), (message, socket) => {
      const [signature, value] = lie(message.fields.member, message.body);
      socket.write(reply(message, [signature ?? '', value ?? '']));
    });
    await expect(attest(inUnit())).rejects.toThrow(words);
  });

  it.each([
    ['rubbish', Buffer.from('l'.repeat(500))],
    ['a message without end', Buffer.concat([Buffer.from('6c02010100000010', 'hex'), Buffer.alloc(8, 0xff)])],
    ['an HTTP answer', Buffer.from('HTTP/1.1 200 OK\r\n\r\n')],
  ])('ends with a bus that sends %s', async (_, bytes) => {
    server = await serveInPlaceOfBus(directory.join('bus'), (_message, socket) => socket.write(bytes));
    await expect(attest(inUnit())).rejects.toMatchObject({ reason: 'unavailable' });
  });

  it.each(['REJECTED EXTERNAL\r\n', 'x'.repeat(2000), 'OK\r\n'])(
    'ends with a bus that greets it with %j',
    async (greeting) => {
      server = await serveInPlaceOfBus(directory.join('bus'), () => undefined, greeting);
      await expect(attest(inUnit())).rejects.toMatchObject({ reason: 'unavailable' });
    },
  );

  it('ends with a bus that dies, and leaves no descriptor behind', async () => {
    const before = readdirSync('/proc/self/fd').length;
    server = await serveInPlaceOfBus(directory.join('bus'), (_message, socket) => socket.destroy());
    for (let round = 0; round < 50; round += 1)
      await expect(attest(inUnit())).rejects.toMatchObject({ reason: 'unavailable' });
    server.close();
    await waitFor('the descriptors to be closed', () => readdirSync('/proc/self/fd').length <= before + 1);
  });

  it.skipIf(!existsSync('/run/systemd/system'))(
    'knows the unit of this very test (needs a machine that systemd runs)',
    async () => {
      const self = { pid: process.pid, uid: 0, gid: 0, procPath: '/proc/self', isAlive: () => true };
      const selectors = await attest(self, { dbus_socket_path: '/run/dbus/system_bus_socket' });
      expect(selectors[0]).toMatch(/^systemd:id:.+\.(service|scope)$/);
    },
  );
});
