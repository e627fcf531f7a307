import type { KeyObject } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatBundleDocument } from '@bonafide/shared/bundle/bundle-document';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { JWS_ALGORITHMS, signJwsAs, type JwsAlgorithm } from '@bonafide/shared/crypto/jws-algorithm';
import { exportSpki } from '@bonafide/shared/crypto/private-key-encoding';
import { encodeCompactJws } from '@bonafide/shared/jwt/compact-jws';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { bundleFromProto } from '@bonafide/shared/rpc/codec/bundle';
import { makeKeyPair } from '@bonafide/testing/make-key-pair';
import { runProcess } from '@bonafide/testing/run-command';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { InProcessServer } from '../integration/server-in-process.js';
import { buildGoProgram, missingForGo } from './go-program.js';

const missing = missingForGo();
const WEB = 'spiffe://example.org/web';
const AUDIENCE = 'spiffe://example.org/reports';

/** WIT-SVIDs are not here: go-spiffe 2.9 does not know them. */
describe.skipIf(missing !== undefined)(
  `go-spiffe, by a bundle document (needs ${missing ?? 'nothing more'})`,
  () => {
    let directory: TemporaryDirectory;
    let server: InProcessServer;
    let program: string;

    beforeAll(async () => {
      directory = createTemporaryDirectory();
      program = buildGoProgram(directory);
      server = await InProcessServer.start();
    });

    afterAll(async () => {
      await server[Symbol.asyncDispose]();
      directory.remove();
    });

    async function mint(): Promise<string> {
      const { svid } = await callUnary(server.local('spire.api.server.svid.v1.SVID'), 'MintJWTSVID', {
        id: { trustDomain: 'example.org', path: '/web' },
        audience: [AUDIENCE],
      });
      return svid?.token ?? '';
    }

    async function fetchBundle(): Promise<TrustBundle> {
      return bundleFromProto(
        await callUnary(server.local('spire.api.server.bundle.v1.Bundle'), 'GetBundle', {}),
      );
    }

    function validate(
      bundle: TrustBundle,
      token: string,
      audience = AUDIENCE,
    ): ReturnType<typeof runProcess> {
      const file = directory.join('bundle.json');
      writeFileSync(file, formatBundleDocument(bundle));
      return runProcess(program, ['token', file, token, audience]);
    }

    it('reads the bundle and validates the JWT-SVIDs of a server', async () => {
      const bundle = await fetchBundle();
      const { code, stdout, stderr } = await validate(bundle, await mint());
      expect(stderr).toBe('');
      expect(code).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({
        spiffeId: WEB,
        audience: [AUDIENCE],
        jwtAuthorities: bundle.jwtAuthorities.length,
        x509Authorities: bundle.x509Authorities.length,
        sequence: bundle.sequenceNumber,
      });
    });

    it('refuses another audience, another signature and a key that was taken out of the bundle', async () => {
      const bundle = await fetchBundle();
      const token = await mint();
      expect((await validate(bundle, token, 'other')).stderr).toContain('audience');
      const [header, payload, signature = ''] = token.split('.');
      const changed = `${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`;
      expect((await validate(bundle, `${header}.${payload}.${changed}`)).code).toBe(1);
      expect((await validate({ ...bundle, jwtAuthorities: [] }, token)).stderr).toContain('no JWT authority');
    });

    const rsa = makeKeyPair('rsa', { modulusLength: 2048 }).privateKey;
    const keyFor = (algorithm: JwsAlgorithm): KeyObject => {
      const curve = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' }[algorithm as string];
      return curve === undefined ? rsa : makeKeyPair('ec', { namedCurve: curve }).privateKey;
    };

    it.each(JWS_ALGORITHMS)('validates a token signed with %s by a key of the bundle', async (algorithm) => {
      const key = keyFor(algorithm);
      const authority = { publicKey: exportSpki(key), keyId: 'k', expiresAt: undefined, isTainted: false };
      const exp = Math.floor(Date.now() / 1000) + 300;
      const token = await encodeCompactJws(
        { alg: algorithm, kid: 'k', typ: 'JWT' },
        { sub: WEB, aud: AUDIENCE, exp },
        (signingInput) => signJwsAs(algorithm, key, signingInput),
      );
      const { stdout, stderr } = await validate(
        { ...(await fetchBundle()), jwtAuthorities: [authority] },
        token,
      );
      expect(stderr).toBe('');
      expect(JSON.parse(stdout)).toMatchObject({ spiffeId: WEB, expiry: exp });
    });
  },
);
