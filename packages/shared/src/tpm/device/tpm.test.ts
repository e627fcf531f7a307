import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { afterEach, describe, expect, it } from 'vitest';
import { BonafideError } from '../../errors/bonafide-error.js';
import { checkTpmPath, openTpmTransport } from './open-transport.js';
import { TpmWriter } from '../tpm-writer.js';
import { Tpm, type TpmCommand } from './tpm.js';

const READ_CLOCK: TpmCommand = { name: 'TPM2_ReadClock', code: 0x0181 };
const MAKE: TpmCommand = { name: 'TPM2_Make', code: 0x0131, returnsHandle: true };
const FLUSH = 0x0165;

const servers: Server[] = [];
const sockets = new Set<Socket>();
afterEach(() => {
  for (const socket of sockets) socket.destroy();
  sockets.clear();
  for (const server of servers.splice(0)) server.close();
});

/** A TPM whose every answer the test decides: what is returned is sent, nothing when there is nothing. */
async function scripted(
  answer: (code: number, count: number) => Buffer | undefined,
): Promise<{ readonly path: string; readonly codes: readonly number[] }> {
  const codes: number[] = [];
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      const code = data.readUInt32BE(6);
      codes.push(code);
      const response = answer(code, codes.length);
      if (response?.length === 0) socket.destroy();
      else if (response !== undefined) socket.write(response);
    });
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { path: `tcp:127.0.0.1:${(server.address() as AddressInfo).port}`, codes };
}

function response(code: number, body: Buffer = Buffer.alloc(0), tag = 0x8001): Buffer {
  return new TpmWriter()
    .uint16(tag)
    .uint32(10 + body.length)
    .uint32(code)
    .bytes(body)
    .build();
}

async function tpmAt(path: string, limits: { limitMs?: number; slowLimitMs?: number } = {}): Promise<Tpm> {
  return new Tpm({ transport: await openTpmTransport(path), ...limits });
}

describe('commands to a TPM', () => {
  it.each([0x922, 0x908, 0x90a])('are sent again when it is busy: 0x%s', async (code) => {
    const { path, codes } = await scripted((_code, count) => response(count < 3 ? code : 0));
    const tpm = await tpmAt(path);
    await tpm.run((turn) => turn.execute(READ_CLOCK));
    expect(codes).toHaveLength(3);
    await tpm.close();
  });

  it.each([
    [0x921, 'unavailable', 'tpm2_dictionarylockout'],
    [0x98e, 'permission_denied', 'password is wrong'],
    [0x9a2, 'permission_denied', 'password is wrong'],
    [0x100, 'failed_precondition', 'not started'],
    [0x101, 'unavailable', 'restart the machine'],
    [0x902, 'resource_exhausted', 'use /dev/tpmrm0'],
    [0x143, 'unimplemented', 'does not know this command'],
    [0x1df, 'permission_denied', 'made for another TPM'],
    [0x185, 'failed_precondition', 'hierarchy is disabled'],
    [0x2d5, 'failed_precondition', '0x2d5'],
  ])('that fail with 0x%s say so in words', async (code, reason, words) => {
    const { path } = await scripted(() => response(code));
    const tpm = await tpmAt(path);
    const error = await tpm.run((turn) => turn.execute(READ_CLOCK)).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ name: 'BonafideError', reason });
    expect(String(error)).toContain(words);
    await tpm.close();
  });

  it.each<[string, Buffer]>([
    ['too short a size', new TpmWriter().uint16(0x8001).uint32(9).uint32(0).build()],
    ['too large a size', new TpmWriter().uint16(0x8001).uint32(5000).uint32(0).build()],
    ['more than it announced', Buffer.concat([response(0), Buffer.from('x')])],
    ['a tag of another command', response(0, Buffer.alloc(4), 0x8002)],
    ['a failure with a body', response(0x101, Buffer.alloc(4))],
    ['the end of the connection', Buffer.alloc(0)],
  ])('that are answered with %s fail', async (_case, bytes) => {
    const { path } = await scripted(() => bytes);
    const tpm = await tpmAt(path);
    await expect(tpm.run((turn) => turn.execute(READ_CLOCK))).rejects.toBeInstanceOf(BonafideError);
    await tpm.close();
  });

  it('have a limited time, and the connection is not used after it', async () => {
    const { path, codes } = await scripted(() => undefined);
    const tpm = await tpmAt(path, { limitMs: 50 });
    const late = tpm.run((turn) => turn.execute(READ_CLOCK));
    await expect(late).rejects.toMatchObject({ reason: 'deadline_exceeded' });
    await expect(tpm.run((turn) => turn.execute(READ_CLOCK))).rejects.toBeInstanceOf(BonafideError);
    expect(codes).toEqual([READ_CLOCK.code]);
    await tpm.close();
  });

  it('leave nothing behind: the last thing made is flushed first, also when flushing fails', async () => {
    let handle = 0x80000000;
    const { path, codes } = await scripted((code) =>
      code === MAKE.code
        ? response(0, new TpmWriter().uint32(handle++).build())
        : response(code === FLUSH ? 0x101 : 0),
    );
    const tpm = await tpmAt(path);
    const failing = tpm.run(async (turn) => {
      await turn.execute(MAKE);
      await turn.execute(MAKE);
      throw new Error('first');
    });
    await expect(failing).rejects.toThrow('first');
    expect(codes).toEqual([MAKE.code, MAKE.code, FLUSH, FLUSH]);
    await tpm.close();
  });

  it('wait for the one that is under way when the caller leaves, and flush what it made', async () => {
    const leave = new AbortController();
    const { path, codes } = await scripted((code) => {
      if (code === MAKE.code) leave.abort();
      return code === MAKE.code ? response(0, new TpmWriter().uint32(0x80000000).build()) : response(0);
    });
    const tpm = await tpmAt(path);
    const left = tpm.run(async (turn) => {
      await turn.execute(MAKE);
      await turn.execute(READ_CLOCK);
    }, leave.signal);
    await expect(left).rejects.toMatchObject({ reason: 'cancelled' });
    expect(codes).toEqual([MAKE.code, FLUSH]);
    await tpm.close();
  });
});

describe('the path of a TPM', () => {
  it.each(['/dev/tpmrm0', '/dev/tpm0', 'unix:/run/tpm', 'tcp:127.0.0.1:2321', 'tcp:[::1]:2321'])(
    'may be %s',
    (path) => {
      expect(() => {
        checkTpmPath(path);
      }).not.toThrow();
    },
  );

  it.each([
    '',
    'tpmrm0',
    '/etc/passwd',
    'unix:relative',
    'tcp:host',
    'tcp:host:0',
    'tcp:host:70000',
    'swtpm:x',
  ])('may not be %j', async (path) => {
    await expect(openTpmTransport(path)).rejects.toThrow('accepted are /dev/tpmrm0');
  });

  it('that leads to no TPM is said to, with what to do', async () => {
    using directory = createTemporaryDirectory();
    await expect(openTpmTransport(directory.join('tpmrm0'))).rejects.toThrow('enable it in the firmware');
    mkdirSync(directory.join('tpm1'));
    await expect(openTpmTransport(directory.join('tpm1'))).rejects.toThrow('cannot be opened');
    await expect(openTpmTransport(`unix:${directory.join('none')}`)).rejects.toThrow('is its swtpm running?');
  });

  it('may be a device, where one write is a command and one read its response', async () => {
    using directory = createTemporaryDirectory();
    // What is written to a pipe that is open for both comes back: a device that answers with the command.
    execFileSync('mkfifo', [directory.join('tpmrm0')]);
    const transport = await openTpmTransport(directory.join('tpmrm0'));
    expect(transport.isShared).toBe(true);
    expect(await transport.transmit(response(0))).toEqual(response(0));
    await transport.close();
    await expect(transport.transmit(response(0))).rejects.toMatchObject({ reason: 'unavailable' });
  });

  it('is given up when the caller leaves', async () => {
    using directory = createTemporaryDirectory();
    const opening = openTpmTransport(`unix:${directory.join('none')}`, AbortSignal.abort());
    await expect(opening).rejects.toMatchObject({ reason: 'cancelled' });
  });
});
