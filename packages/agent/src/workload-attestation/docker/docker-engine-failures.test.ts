import { readdirSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { TestContainerEngine, type EngineLie } from '@bonafide/testing/container-engine';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { A, B, DockerNode, says, SELECTORS, truth } from './docker-node-samples.js';

let node: DockerNode;
beforeEach(async () => {
  node = await DockerNode.start();
});
afterEach(async () => {
  await node[Symbol.asyncDispose]();
});

describe('an engine that fails', () => {
  const drip = (response: ServerResponse): void => {
    response.writeHead(200).write('{');
    const timer = setInterval(() => response.write(' '), 5);
    response.on('close', () => {
      clearInterval(timer);
    });
  };

  it.each<[string, EngineLie, string]>([
    ['speaks of another container', says({ ...truth, Id: B }), 'another container'],
    ['gives wrong types', says({ ...truth, State: { Running: 'yes', Pid: '1' } }), 'not readable: State'],
    [
      'gives a label that is no text',
      says({ ...truth, Config: { Labels: { a: 1 } } }),
      'not readable: Config.Labels.a',
    ],
    ['gives an image that is no digest', says({ ...truth, Image: 'latest' }), 'not readable: Image'],
    [
      'names a negative process',
      says({ ...truth, State: { Running: true, Pid: -1 } }),
      'not readable: State.Pid',
    ],
    ['gives nothing', says(null), 'not readable'],
    ['is in conflict', says({ message: 'busy' }, 409), 'answered 409'],
    ['fails', says({ message: 'boom' }, 500), 'answered 500: "{\\"message\\":\\"boom\\"}"'],
    ['gives no JSON', (_, response) => response.end('<html>'), 'no JSON'],
    ['redirects', (_, response) => response.writeHead(301, { location: '/x' }).end(), 'answered 301'],
    ['says too much', (_, response) => response.end(Buffer.alloc(3 * 1024 * 1024, 32)), 'longer than'],
    [
      'dies in the middle',
      (_, response) => {
        response.writeHead(200, { 'content-length': '100' }).write('{');
        setTimeout(() => response.destroy(), 5);
      },
      'cannot ask the engine',
    ],
    ['hangs up', (_, response) => response.destroy(), 'cannot ask the engine'],
  ])('costs the caller its selectors, and says why: %s', async (_, lie, message) => {
    node.engine.lie = lie;
    await expect(node.attest(`/docker/${A}`)).rejects.toThrow(message);
  });

  it.each<[string, EngineLie]>([
    ['never answers', () => undefined],
    [
      'drips',
      (_, response) => {
        drip(response);
      },
    ],
  ])('is left when the time is up, and its request with it: %s', async (_, lie) => {
    let closed = 0;
    node.engine.lie = (request, response) => {
      response.on('close', () => (closed += 1));
      lie(request, response);
    };
    const stop = new AbortController();
    const asked = node.attest(`/docker/${A}`, {}, stop.signal);
    const settled = asked.catch((error: unknown) => error);
    await waitFor('the request', () => node.engine.requests.length === 1);
    stop.abort(new Error('time is up'));
    expect(await settled).toMatchObject({ message: 'time is up' });
    await waitFor('the connection to end', () => closed === 1);
  });

  it('is asked again when it restarts, also on a connection that it left behind', async () => {
    const one = node.attestor();
    const process = node.caller(`/docker/${A}`);
    await one.attest(process, new AbortController().signal);
    await node.engine.stop();
    const { containers } = node.engine;
    const again = one.attest(process, new AbortController().signal);
    node.engine = await TestContainerEngine.start(node.directory.join('docker.sock'));
    for (const container of containers.values()) node.engine.run(container);
    expect(await again).toHaveLength(SELECTORS.length);
  });

  it('is said to be gone when nobody listens', async () => {
    await expect(
      node.attest(`/docker/${A}`, { docker_socket_path: '/nowhere/docker.sock' }),
    ).rejects.toMatchObject({
      reason: 'unavailable',
      message: expect.stringContaining('ENOENT') as string,
    });
  });

  it('leaves no descriptor behind, however it fails', async () => {
    const one = node.attestor();
    const process = node.caller(`/docker/${A}`);
    const count = (): number => readdirSync('/proc/self/fd').length;
    await one.attest(process, new AbortController().signal);
    const before = count();
    for (let turn = 0; turn < 30; turn += 1) {
      node.engine.lie = [
        undefined,
        says(null),
        says(null, 404),
        (_: unknown, response: ServerResponse) => response.end('{'),
      ][turn % 4];
      await one.attest(process, new AbortController().signal).catch(() => undefined);
    }
    one.close();
    await waitFor('the descriptors to be closed', () => count() <= before);
  });
});
