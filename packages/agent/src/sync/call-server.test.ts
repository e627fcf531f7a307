import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ServerConnection, type ServerChannel } from '../agent-identity/server-connection.js';
import { callServer } from './call-server.js';

const unavailable = new BonafideError('unavailable', 'channel closed before call started');

describe('callServer', () => {
  let connection: ServerConnection;
  let reported: unknown[];
  let used: ServerChannel[];

  beforeEach(() => {
    const trustDomain = parseTrustDomain('example.org');
    connection = new ServerConnection({ addresses: [{ host: '127.0.0.1', port: 1 }], trustDomain });
    reported = [];
    used = [];
  });
  afterEach(() => {
    connection.close();
  });

  function failing(error: BonafideError, meanwhile: () => void): Promise<never> {
    const reportRefusal = (refusal: unknown): void => {
      reported.push(refusal);
    };
    return callServer({ connection, reportRefusal }, (channel) => {
      used.push(channel);
      meanwhile();
      return Promise.reject(error);
    });
  }

  it('calls once more, on the new channel, when the identity was renewed while the call waited', async () => {
    await expect(
      failing(unavailable, () => {
        connection.identify(undefined);
      }),
    ).rejects.toBe(unavailable);
    expect(used).toHaveLength(2);
    expect(used[0]).not.toBe(used[1]);
    expect(reported).toEqual([unavailable]);
  });

  it('does not call again when the server is away, and connects anew for the next call', async () => {
    await expect(failing(unavailable, () => undefined)).rejects.toBe(unavailable);
    expect(used).toHaveLength(1);
    expect(connection.channel()).not.toBe(used[0]);
  });

  it('does not repeat what the server refused', async () => {
    const refused = new BonafideError('permission_denied', 'no');
    await expect(
      failing(refused, () => {
        connection.identify(undefined);
      }),
    ).rejects.toBe(refused);
    expect(used).toHaveLength(1);
    expect(reported).toEqual([refused]);
  });
});
