import { X509Certificate as NodeCertificate, type KeyObject } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createCertificateSigningRequest } from '@bonafide/shared/crypto/certificate-signing-request';
import { formatDistinguishedName } from '@bonafide/shared/crypto/der/distinguished-name';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import { KEY_TYPES, type KeyType } from '@bonafide/shared/crypto/key-type';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { createSelfSignedAuthority } from '@bonafide/shared/crypto/self-signed-authority';
import { createKeySigner } from '@bonafide/shared/crypto/signer';
import { verifyX509Svid } from '@bonafide/shared/crypto/verify-x509-svid';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { addSeconds, systemClock } from '@bonafide/shared/runtime/clock';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { typescriptThread } from '@bonafide/testing/typescript-thread';
import { waitFor } from '@bonafide/testing/wait-for';
import type { X509SigningAuthority } from '../authority/x509-signing-authority.js';
import { X509SvidBatchIssuance } from './issue-x509-svid-batches.js';
import { X509SvidIssuance, type X509SvidIssuanceOptions } from './issue-x509-svid.js';
import { SigningThreads } from './threads/signing-threads.js';
import type { SigningCall, X509SvidIssuer, X509SvidRequest } from './x509-svid-request.js';

const THREAD_PROGRAM = typescriptThread(new URL('threads/signing-thread-main.ts', import.meta.url));
const callOf = (): SigningCall => ({
  caller: parseSpiffeId('spiffe://example.org/spire/agent/join_token/a'),
  secondsLeft: undefined,
  patienceMs: 60_000,
  bytes: 0,
  signal: new AbortController().signal,
});

const trustDomain = parseTrustDomain('example.org');
const spiffeId = parseSpiffeId('spiffe://example.org/ns/default/sa/web');
// The real time, rounded, because openssl reads the machine's clock.
const now = new Date(Math.floor(new Date().getTime() / 1000) * 1000);
const clock = new FakeClock(now);

async function createAuthority(
  keyType: KeyType = 'ec-p256',
  ttlSeconds = 86_400,
): Promise<X509SigningAuthority> {
  const signer = createKeySigner(await generatePrivateKey(keyType));
  const notAfter = addSeconds(now, ttlSeconds);
  const certificate = await createSelfSignedAuthority({
    trustDomain,
    signer,
    notBefore: addSeconds(now, -10),
    notAfter,
  });
  return { authorityId: 'one', certificate, intermediates: [], signer, notAfter };
}

let authority: X509SigningAuthority;
let key: KeyObject;
let csr: Buffer;

beforeAll(async () => {
  authority = await createAuthority();
  key = await generatePrivateKey('ec-p256');
  csr = await createCertificateSigningRequest(key);
});

function request(change: Partial<X509SvidRequest> = {}): X509SvidRequest {
  return { csr, spiffeId, dnsNames: [], ttlSeconds: 3600, ...change };
}

describe.each(['main thread', 'signing threads'] as const)('on the %s', (path) => {
  let issuance: X509SvidIssuer;
  let threads: SigningThreads | undefined;
  let signedHere = 0;

  beforeAll(async () => {
    if (path === 'signing threads') {
      threads = new SigningThreads({
        trustDomain,
        threads: 2,
        clock: systemClock,
        log: silentLogger,
        program: THREAD_PROGRAM,
      });
      await waitFor('the threads to be ready', () => threads?.ready === 2, { limitMs: 100_000 });
    }
    issuance = issuerOver({ trustDomain, authorities: { activeX509: () => authority }, clock });
  });

  afterAll(async () => {
    await threads?.close();
    // One test has an authority that a thread cannot use; the main thread says why.
    if (path === 'signing threads') expect(signedHere).toBeLessThanOrEqual(1);
  });

  function issuerOver(options: X509SvidIssuanceOptions): X509SvidIssuer {
    const here = new X509SvidIssuance(options);
    if (path === 'main thread') return here;
    const mainThread: X509SvidIssuer = {
      issue: (asked) => {
        signedHere += 1;
        return here.issue(asked);
      },
    };
    const batches = new X509SvidBatchIssuance({ ...options, log: silentLogger, mainThread, threads });
    return {
      issue: async (asked) => {
        const [outcome] = await batches.issueBatch([() => asked], callOf());
        if (outcome?.kind !== 'issued') throw outcome?.error;
        return outcome.svid;
      },
    };
  }

  describe('an issued X.509-SVID', () => {
    it('has exactly what was asked for', async () => {
      const dnsNames = ['web.example.org', '*.web.example.org'];
      const issued = await issuance.issue(request({ dnsNames }));
      const [leafDer = Buffer.alloc(0)] = issued.certificateChain;
      const { leaf } = verifyX509Svid({
        chain: issued.certificateChain,
        authorities: [authority.certificate],
        now,
        trustDomain,
      });
      expect(issued).toMatchObject({
        spiffeId,
        notBefore: addSeconds(now, -10),
        notAfter: addSeconds(now, 3600),
      });
      expect(issued.certificateChain).toHaveLength(1);
      expect(leaf).toMatchObject({
        spiffeId,
        dnsNames,
        serialNumber: issued.serialNumber,
        notBefore: issued.notBefore,
        notAfter: issued.notAfter,
        isCa: false,
        keyUsages: new Set(['digitalSignature']),
      });
      expect(issued.serialNumber).toMatch(/^[4-7][0-9a-f]{31}$/);
      expect(new NodeCertificate(leafDer).checkPrivateKey(key)).toBe(true);
    });

    it('has the subject that SPIRE gives, which tells SPIFFE IDs apart', async () => {
      const subjectOf = async (change: Partial<X509SvidRequest>): Promise<string> => {
        const { certificateChain } = await issuance.issue(request(change));
        return formatDistinguishedName(parseX509Certificate(certificateChain[0] ?? Buffer.alloc(0)).subject);
      };
      const plain = await subjectOf({});
      expect(plain).toMatch(/^C=US,O=SPIRE,x500UniqueIdentifier=[0-9a-f]{32}$/);
      expect(await subjectOf({ spiffeId: parseSpiffeId('spiffe://example.org/other') })).not.toBe(plain);
      // The identifier that SPIRE's tests have for this SPIFFE ID.
      expect(await subjectOf({ spiffeId: parseSpiffeId('spiffe://example.org/foo') })).toContain(
        'x500UniqueIdentifier=c3406f9b12ceb4f9c948318c579b905b',
      );
      expect(await subjectOf({ dnsNames: ['a.example.org', 'b.example.org'] })).toContain(
        'O=SPIRE,CN=a.example.org,',
      );
      const long = `${'a'.repeat(60)}.example.org`;
      expect(await subjectOf({ dnsNames: [long] })).not.toContain('CN=');
    });

    it('never repeats a serial number', async () => {
      const issued = await Promise.all(Array.from({ length: 300 }, () => issuance.issue(request())));
      expect(new Set(issued.map(({ serialNumber }) => serialNumber)).size).toBe(300);
    });

    it('is cut to the life of its authority (invariant 1)', async () => {
      const { notAfter, certificateChain } = await issuance.issue(request({ ttlSeconds: 10 * 86_400 }));
      expect(notAfter).toEqual(authority.notAfter);
      expect(parseX509Certificate(certificateChain[0] ?? Buffer.alloc(0)).notAfter).toEqual(
        authority.notAfter,
      );
    });

    it('is followed by the intermediates of its authority', async () => {
      const intermediates = [Buffer.from('intermediate')];
      const below = issuerOver({
        trustDomain,
        clock,
        authorities: { activeX509: () => ({ ...authority, intermediates }) },
      });
      expect((await below.issue(request())).certificateChain.slice(1)).toEqual(intermediates);
    });

    it('has none of the names that the CSR asks for (invariant 1)', async () => {
      const greedy = await createCertificateSigningRequest(key, {
        uriNames: ['spiffe://example.org/admin', 'spiffe://other.org/root'],
        dnsNames: ['bank.example.com'],
        subject: { commonName: 'root' },
      });
      const { certificateChain } = await issuance.issue(request({ csr: greedy }));
      const leaf = parseX509Certificate(certificateChain[0] ?? Buffer.alloc(0));
      expect(leaf).toMatchObject({ uriNames: [spiffeId], dnsNames: [] });
      expect(formatDistinguishedName(leaf.subject)).not.toContain('root');
    });
  });

  describe('every combination of keys', () => {
    it.each(KEY_TYPES)(
      'is accepted by openssl under an authority of type %s',
      async (authorityType) => {
        const signing = await createAuthority(authorityType);
        const under = issuerOver({ trustDomain, clock, authorities: { activeX509: () => signing } });
        using directory = createTemporaryDirectory();
        const file = directory.join('authority.pem');
        writeFileSync(file, encodePem('CERTIFICATE', signing.certificate));
        for (const keyType of ['ec-p256', 'ec-p384', 'rsa-2048'] as const) {
          const leafKey = await generatePrivateKey(keyType);
          const { certificateChain } = await under.issue(
            request({ csr: await createCertificateSigningRequest(leafKey), dnsNames: ['a.example.org'] }),
          );
          const leafFile = directory.join(`${keyType}.pem`);
          writeFileSync(leafFile, encodePem('CERTIFICATE', certificateChain[0] ?? Buffer.alloc(0)));
          for (const purpose of ['sslserver', 'sslclient']) {
            const command = ['verify', '-x509_strict', '-purpose', purpose, '-CAfile', file, leafFile];
            expect(execFileSync('openssl', command, { stdio: 'pipe' }).toString()).toContain('OK');
          }
        }
      },
      300_000,
    );
  });

  describe('issue refuses', () => {
    it.each([
      [
        'a SPIFFE ID of another trust domain',
        { spiffeId: parseSpiffeId('spiffe://other.org/web') },
        'is not in trust domain example.org',
      ],
      ['a SPIFFE ID without a path', { spiffeId: parseSpiffeId('spiffe://example.org') }, 'has no path'],
      ['no time to live', { ttlSeconds: 0 }, 'at least 1 second'],
      ['a time to live that is no number', { ttlSeconds: NaN }, 'at least 1 second'],
      ['a DNS name with a space', { dnsNames: ['a b'] }, 'is not a DNS name'],
      ['a DNS name beyond ASCII', { dnsNames: ['bücher.example'] }, 'is not a DNS name'],
      ['an empty DNS name', { dnsNames: [''] }, 'is not a DNS name'],
      ['an asterisk alone', { dnsNames: ['*'] }, 'is not a DNS name'],
      ['an asterisk within', { dnsNames: ['a.*.example.org'] }, 'is not a DNS name'],
      ['a DNS name of 254 characters', { dnsNames: [`${'a.'.repeat(126)}aa`] }, 'is not a DNS name'],
      ['too many DNS names', { dnsNames: Array<string>(1001).fill('a') }, 'more than 1000 DNS names'],
      ['an empty CSR', { csr: Buffer.alloc(0) }, 'malformed CSR'],
    ] satisfies [string, Partial<X509SvidRequest>, string][])('%s', async (_name, change, problem) => {
      const refused = issuance.issue(request(change));
      await expect(refused).rejects.toThrow(problem);
      await expect(refused).rejects.toMatchObject({ reason: 'invalid_argument' });
    });

    it('a CSR with bytes after it, or with any byte changed', async () => {
      await expect(issuance.issue(request({ csr: Buffer.concat([csr, Buffer.from([0])]) }))).rejects.toThrow(
        'trailing',
      );
      await fc.assert(
        fc.asyncProperty(fc.nat(csr.length - 1), fc.integer({ min: 1, max: 255 }), async (index, change) => {
          const mutated = Buffer.from(csr);
          mutated[index] = (mutated[index] ?? 0) ^ change;
          await expect(issuance.issue(request({ csr: mutated }))).rejects.toBeInstanceOf(BonafideError);
        }),
        { numRuns: 300 },
      );
    });

    it('to sign with an authority that has expired', async () => {
      const later = new FakeClock(addSeconds(authority.notAfter, 1));
      const late = issuerOver({
        trustDomain,
        clock: later,
        authorities: { activeX509: () => authority },
      });
      await expect(late.issue(request())).rejects.toMatchObject({ reason: 'unavailable' });
    });

    it('to sign with a key that is not the one of the certificate', async () => {
      const signer = createKeySigner(await generatePrivateKey('ec-p256'));
      const mixed = issuerOver({
        trustDomain,
        clock,
        authorities: { activeX509: () => ({ ...authority, signer }) },
      });
      await expect(mixed.issue(request())).rejects.toThrow('is for another key');
    });

    it('one CSR of a batch without harm to the others', async () => {
      const batch = await Promise.allSettled(
        Array.from({ length: 50 }, (_, index) =>
          issuance.issue(request(index % 5 === 0 ? { csr: Buffer.from('junk') } : {})),
        ),
      );
      expect(batch.filter(({ status }) => status === 'rejected')).toHaveLength(10);
    });
  });

  it('signs with the new authority as soon as there is one', async () => {
    let active = authority;
    const rotating = issuerOver({ trustDomain, clock, authorities: { activeX509: () => active } });
    await rotating.issue(request());
    active = await createAuthority('ec-p384');
    const { certificateChain } = await rotating.issue(request());
    expect(verifyX509Svid({ chain: certificateChain, authorities: [active.certificate], now }).spiffeId).toBe(
      spiffeId,
    );
  });

  it('grants what was asked for and nothing more, whatever was asked for (invariant 1)', async () => {
    const segment = fc.stringMatching(/^[a-zA-Z0-9_-][a-zA-Z0-9._-]{0,20}$/);
    const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?$/);
    await fc.assert(
      fc.asyncProperty(
        fc.array(segment, { minLength: 1, maxLength: 6 }),
        fc.array(fc.array(label, { minLength: 1, maxLength: 4 }), { maxLength: 5 }),
        fc.integer({ min: 1, max: 200_000 }),
        async (segments, labels, ttlSeconds) => {
          const wanted = parseSpiffeId(`spiffe://example.org/${segments.join('/')}`);
          const dnsNames = labels.map((parts) => parts.join('.'));
          const { certificateChain } = await issuance.issue(
            request({ spiffeId: wanted, dnsNames, ttlSeconds }),
          );
          const { leaf } = verifyX509Svid({
            chain: certificateChain,
            authorities: [authority.certificate],
            now,
          });
          expect(leaf).toMatchObject({ uriNames: [wanted], dnsNames });
          expect(leaf.notAfter).toEqual(
            new Date(Math.min(addSeconds(now, ttlSeconds).getTime(), authority.notAfter.getTime())),
          );
        },
      ),
      { numRuns: 100 },
    );
  });
});
