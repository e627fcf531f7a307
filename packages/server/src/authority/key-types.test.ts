import { describe, expect, it } from 'vitest';
import { createCertificateSigningRequest } from '@bonafide/shared/crypto/certificate-signing-request';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import { jwsAlgorithmFor, signJws, verifyJws } from '@bonafide/shared/crypto/jws-algorithm';
import { KEY_TYPES, keyTypeOf } from '@bonafide/shared/crypto/key-type';
import { importSpki } from '@bonafide/shared/crypto/private-key-encoding';
import { verifyX509Svid } from '@bonafide/shared/crypto/verify-x509-svid';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { X509SvidIssuance } from '../issuance/issue-x509-svid.js';
import { openStore } from '../store/open-store.js';
import { AuthorityRotation } from './authority-rotation.js';
import { DiskKeyManager } from './disk-key-manager.js';

const trustDomain = parseTrustDomain('example.org');

describe.each(KEY_TYPES)('authorities with keys of type %s', (keyType) => {
  it('sign, of every kind, what verifies by the bundle; also after a restart', async () => {
    using directory = createTemporaryDirectory();
    const clock = new FakeClock();
    const store = await openStore({ path: ':memory:', log: silentLogger });
    const options = { trustDomain, store, clock, log: silentLogger, ttlSeconds: 3600 };
    const keyTypes = { x509: keyType, jwt: keyType, wit: keyType };
    for (let run = 0; run < 2; run += 1) {
      const keyManager = await DiskKeyManager.open(directory.join('keys.json'));
      const abort = new AbortController();
      const authorities = new AuthorityRotation({ ...options, keyManager, keyTypes });
      await authorities.start(abort.signal);
      abort.abort();
      const bundle = await store.bundles.get(trustDomain);

      const csr = await createCertificateSigningRequest(await generatePrivateKey('ec-p256'));
      const spiffeId = parseSpiffeId('spiffe://example.org/web');
      const issuance = new X509SvidIssuance({ trustDomain, authorities, clock });
      const { certificateChain: chain } = await issuance.issue({
        ...{ csr, spiffeId },
        dnsNames: [],
        ttlSeconds: 60,
      });
      expect(bundle?.x509Authorities).toHaveLength(1);
      const trusted = bundle?.x509Authorities.map(({ certificate }) => certificate) ?? [];
      expect(verifyX509Svid({ chain, authorities: trusted, now: clock.now() }).spiffeId).toBe(spiffeId);

      const data = Buffer.from('header.claims');
      const published = [bundle?.jwtAuthorities, bundle?.witAuthorities];
      for (const [index, { keyId, signer }] of [authorities.activeJwt(), authorities.activeWit()].entries()) {
        const [authority, ...others] = published[index] ?? [];
        expect(others).toEqual([]);
        expect(authority?.keyId).toBe(keyId);
        const publicKey = importSpki(authority?.publicKey ?? Buffer.alloc(0));
        expect(keyTypeOf(publicKey)).toBe(keyType);
        const signature = await signJws(signer, data);
        const algorithm = jwsAlgorithmFor(keyType);
        expect(await verifyJws({ algorithm, publicKey, data, signature })).toBe(true);
        expect(await verifyJws({ algorithm, publicKey, data: Buffer.from('other'), signature })).toBe(false);
      }
    }
    await store.close();
  });
});
