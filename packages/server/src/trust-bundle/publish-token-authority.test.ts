import type { TokenAuthority } from '@bonafide/shared/bundle/trust-bundle';
import { exportSpki } from '@bonafide/shared/crypto/private-key-encoding';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { addSeconds, dateFromUnixSeconds, unixSeconds } from '@bonafide/shared/runtime/clock';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { makeKeyPair } from '@bonafide/testing/make-key-pair';
import { describe, expect, it } from 'vitest';
import { openStore } from '../store/open-store.js';
import { emptyBundle } from './merge-bundle.js';
import {
  MAX_TOKEN_AUTHORITIES,
  TokenAuthorityPublication,
  type TokenAuthorityPublicationOptions,
} from './publish-token-authority.js';

const trustDomain = parseTrustDomain('example.org');
const never = new AbortController().signal;
const publicKey = exportSpki(makeKeyPair('ec', { namedCurve: 'P-256' }).publicKey);
const clock = new FakeClock();
const expiresAt = addSeconds(dateFromUnixSeconds(unixSeconds(clock.now())), 3600);
const key = (keyId: string): TokenAuthority => ({ publicKey, keyId, expiresAt, isTainted: false });

async function createPublication(upstream?: TokenAuthorityPublicationOptions['upstream']): Promise<{
  readonly publication: TokenAuthorityPublication;
  readonly store: TokenAuthorityPublicationOptions['store'];
}> {
  const store = await openStore({ path: ':memory:', log: silentLogger });
  return {
    store,
    publication: new TokenAuthorityPublication({ trustDomain, store, clock, upstream }),
  };
}

describe('the token authority of a downstream server', () => {
  it('is published above first, and what is known there is known here', async () => {
    const asked: string[] = [];
    const { publication, store } = await createPublication({
      publishJwtAuthority: async (authority) => {
        asked.push(authority.keyId);
        expect((await store.bundles.get(trustDomain))?.jwtAuthorities ?? []).toEqual([]);
        return [key('of the root'), authority];
      },
    });
    const published = await publication.publish('jwt', key('child'), never);
    expect(published).toEqual([key('of the root'), key('child')]);
    // Nobody above takes WIT authorities.
    expect(await publication.publish('wit', key('wit'), never)).toEqual([key('wit')]);
    expect(asked).toEqual(['child']);
    expect(await store.bundles.get(trustDomain)).toMatchObject({
      jwtAuthorities: published,
      witAuthorities: [key('wit')],
    });
  });

  it('is not published here when it cannot be published above', async () => {
    const { publication, store } = await createPublication({
      publishJwtAuthority: () => Promise.reject(new BonafideError('unavailable', 'nobody there')),
    });
    await expect(publication.publish('jwt', key('child'), never)).rejects.toThrow('nobody there');
    expect(await store.bundles.get(trustDomain)).toBeUndefined();
  });

  it('must end some day, for nobody could take it back', async () => {
    const { publication } = await createPublication();
    await expect(
      publication.publish('jwt', { ...key('child'), expiresAt: undefined }, never),
    ).rejects.toMatchObject({ reason: 'invalid_argument' });
  });

  it('does not come back once it was revoked, nor do others that were', async () => {
    const { publication, store } = await createPublication({
      publishJwtAuthority: (authority) => Promise.resolve([key('revoked sister'), authority]),
    });
    await store.write(async ({ authorities }) => {
      await authorities.addRevoked('revoked sister', undefined);
      await authorities.addRevoked('revoked child', undefined);
    });
    expect(await publication.publish('jwt', key('child'), never)).toEqual([key('child')]);
    await expect(publication.publish('jwt', key('revoked child'), never)).rejects.toMatchObject({
      reason: 'failed_precondition',
    });
    expect((await store.bundles.get(trustDomain))?.jwtAuthorities).toEqual([key('child')]);
  });

  it('finds room in the bundle, or is refused', async () => {
    const { publication, store } = await createPublication();
    const jwtAuthorities = Array.from({ length: MAX_TOKEN_AUTHORITIES }, (_, index) => key(`${index}`));
    await store.write(({ bundles }) => bundles.put({ ...emptyBundle(trustDomain), jwtAuthorities }));
    await expect(publication.publish('jwt', key('one more'), never)).rejects.toMatchObject({
      reason: 'resource_exhausted',
    });
    expect(await publication.publish('jwt', key('7'), never)).toHaveLength(MAX_TOKEN_AUTHORITIES);
  });
});
