import type { Clock } from '@bonafide/shared/runtime/clock';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { GoogleCloud } from '@bonafide/testing/google-cloud';
import { makeKeyPair } from '@bonafide/testing/make-key-pair';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { GoogleKeys } from './google-keys.js';

let google: GoogleCloud;

beforeAll(async () => {
  google = await GoogleCloud.start();
});

afterEach(() => {
  google.lie = undefined;
  google.requests.length = 0;
});

afterAll(async () => {
  await google[Symbol.asyncDispose]();
});

function googleKeys(clock: Clock = new FakeClock()): GoogleKeys {
  const { signal } = new AbortController();
  return new GoogleKeys({ clock, signal, url: google.keysUrl, tls: { ca: google.ca } });
}

describe('GoogleKeys', () => {
  it('follows Google to new keys, and asks no more than once a minute for those that it does not have', async () => {
    const clock = new FakeClock();
    const keys = googleKeys(clock);
    expect(await keys.find(google.keyId)).toBeDefined();
    for (let count = 0; count < 5; count += 1) expect(await keys.find(`made-up-${count}`)).toBeUndefined();
    expect(google.requests).toHaveLength(1);

    google.keys = makeKeyPair('rsa', { modulusLength: 2048 });
    google.keyId = 'key-new';
    expect(await keys.find('key-new')).toBeUndefined();
    await clock.advance(60_000);
    expect(await keys.find('key-new')).toBeDefined();
    expect(await keys.find('key-1')).toBeUndefined();
    expect(google.requests).toHaveLength(2);
  });

  it('asks once for all who wait', async () => {
    const keys = googleKeys();
    await Promise.all(Array.from({ length: 20 }, () => keys.find(google.keyId)));
    expect(google.requests).toHaveLength(1);
  });

  it('keeps nothing for longer than Google says, even while Google cannot be asked', async () => {
    const clock = new FakeClock();
    const keys = googleKeys(clock);
    await keys.find(google.keyId);
    await clock.advance(20_000_000);
    google.lie = (_request, response) => {
      response.writeHead(500).end();
    };
    await expect(keys.find(google.keyId)).rejects.toMatchObject({ reason: 'unavailable' });
    google.lie = undefined;
    expect(await keys.find(google.keyId)).toBeDefined();
  });

  it.each([
    ['fails', 500, ''],
    ['redirects', 302, ''],
    ['says something else', 200, '<html>'],
    ['has no keys', 200, '{}'],
    ['answers without end', 200, ' '.repeat(300_000)],
  ])('has no keys while Google %s', async (_name, status, body) => {
    google.lie = (_request, response) => {
      response.writeHead(status, { location: '/elsewhere' }).end(body);
    };
    await expect(googleKeys().find(google.keyId)).rejects.toMatchObject({ reason: 'unavailable' });
    expect(google.requests).toHaveLength(1);
  });
});
