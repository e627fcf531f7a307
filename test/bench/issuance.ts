/** How many X.509-SVIDs a server process issues each second, beside what the cryptography alone and a plain library pipeline allow. */
import 'reflect-metadata';
import { webcrypto, type KeyObject } from 'node:crypto';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setImmediate as nextTurn } from 'node:timers/promises';
import * as x509 from '@peculiar/x509';
import {
  createCertificateSigningRequest,
  parseCertificateSigningRequest,
  verifyCertificateSigningRequest,
  type CertificateSigningRequest,
} from '@bonafide/shared/crypto/certificate-signing-request';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import { exportPkcs8 } from '@bonafide/shared/crypto/private-key-encoding';
import { createSelfSignedAuthority } from '@bonafide/shared/crypto/self-signed-authority';
import { signWithKey, verifySignature } from '@bonafide/shared/crypto/signature-algorithm';
import { createKeySigner } from '@bonafide/shared/crypto/signer';
import { addSeconds, systemClock } from '@bonafide/shared/runtime/clock';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { X509SvidRequest } from '@bonafide/server/issuance/x509-svid-request';
import { X509SvidIssuance } from '@bonafide/server/issuance/issue-x509-svid';
import { IssuanceMetrics } from '@bonafide/server/telemetry/issuance-metrics';
import { MetricRegistry } from '@bonafide/shared/telemetry/metric-registry';
import { perSecond, type Operation } from './measuring/per-second.js';
import { auditRows } from './issuance/audit-rows.js';
import { signingThreadRows } from './issuance/signing-thread-rows.js';
import type { Row } from './row.js';

const TRUST_DOMAIN = parseTrustDomain('example.org');
const SPIFFE_ID = parseSpiffeId('spiffe://example.org/ns/default/sa/workload-1');
const DISTINCT_CSRS = 1000;
const BATCH = 500;
const ROUNDS = 5;
const ROUND_MS = 1000;

export async function measure(): Promise<Row[]> {
  const world = await prepare();
  const ours: number[] = [];
  const counted: number[] = [];
  const raw: number[] = [];
  const library: number[] = [];
  // Round by round in turn, so that a busy neighbour disturbs all alike; the median round counts.
  for (let round = 0; round < ROUNDS; round += 1) {
    raw.push(await perSecond(world.rawVerifyAndSign, ROUND_MS));
    ours.push(await perSecond(world.issue, ROUND_MS));
    counted.push(await perSecond(world.issueCounted, ROUND_MS));
    library.push(await perSecond(world.issueWithLibrary, ROUND_MS));
  }
  const stall = await batchStall(world.issue);
  const rawRate = { what: 'raw verify + sign, same run', value: median(raw), unit: '/s' };
  const libraryRate = { what: 'plain @peculiar/x509, same run', value: median(library), unit: '/s' };
  const value = median(ours);
  return [
    {
      what: 'X.509-SVIDs issued (P-256)',
      value,
      unit: '/s',
      reference: rawRate,
      target: '> 8,000/s on 2 cores and > 40 % of raw',
    },
    { what: 'X.509-SVIDs issued (P-256)', value, unit: '/s', reference: libraryRate },
    {
      what: 'X.509-SVIDs issued, each counted and timed for the metrics',
      value: median(counted),
      unit: '/s',
      reference: { what: 'not counted, same run', value, unit: '/s' },
      target: '> 95 % of not counted',
    },
    { what: `event loop stall while ${BATCH} CSRs are signed`, value: stall, unit: 'ms', target: '< 13 ms' },
    ...(await auditRows()),
    ...(await signingThreadRows(rawRate)),
  ];
}

interface World {
  readonly issue: Operation;
  readonly issueCounted: Operation;
  readonly rawVerifyAndSign: Operation;
  readonly issueWithLibrary: Operation;
}

async function prepare(): Promise<World> {
  const authorityKey = await generatePrivateKey('ec-p256');
  const signer = createKeySigner(authorityKey);
  const now = systemClock.now();
  const notAfter = addSeconds(now, 24 * 3600);
  const certificate = await createSelfSignedAuthority({
    trustDomain: TRUST_DOMAIN,
    signer,
    notBefore: now,
    notAfter,
  });
  const authority = { authorityId: 'bench', certificate, intermediates: [], signer, notAfter };
  const issuance = new X509SvidIssuance({
    trustDomain: TRUST_DOMAIN,
    authorities: { activeX509: () => authority },
    clock: systemClock,
  });
  const csrs: Buffer[] = [];
  for (let index = 0; index < DISTINCT_CSRS; index += 1) {
    csrs.push(
      await createCertificateSigningRequest(await generatePrivateKey('ec-p256'), { uriNames: [SPIFFE_ID] }),
    );
  }
  const csrAt = (index: number): Buffer => csrs[index % csrs.length] ?? Buffer.alloc(0);
  const verified: { readonly csr: CertificateSigningRequest; readonly publicKey: KeyObject }[] = [];
  for (const bytes of csrs) {
    const csr = parseCertificateSigningRequest(bytes);
    verified.push({ csr, publicKey: (await verifyCertificateSigningRequest(csr)).publicKey });
  }
  const counted = new IssuanceMetrics(new MetricRegistry(), systemClock).meter('x509', issuance);
  const requestAt = (index: number): X509SvidRequest => ({
    ...{ csr: csrAt(index), spiffeId: SPIFFE_ID, dnsNames: [], ttlSeconds: 3600 },
  });
  return {
    issue: (index) => issuance.issue(requestAt(index)),
    issueCounted: (index) => counted.issue(requestAt(index)),
    rawVerifyAndSign: async (index) => {
      const item = verified[index % verified.length];
      if (item === undefined) return;
      const { signatureAlgorithm: algorithm, tbs: data, signature } = item.csr;
      await verifySignature({ algorithm, publicKey: item.publicKey, data, signature });
      await signWithKey(authorityKey, data, 'sha256');
    },
    issueWithLibrary: await createLibraryPipeline(certificate, exportPkcs8(authorityKey), csrAt),
  };
}

/** What one writes with @peculiar/x509 and Node's Web Cryptography alone. */
async function createLibraryPipeline(
  authority: Buffer,
  pkcs8: Buffer,
  csrAt: (index: number) => Buffer,
): Promise<Operation> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  x509.cryptoProvider.set(webcrypto);
  const issuer = new x509.X509Certificate(authority);
  const signingKey = await webcrypto.subtle.importKey('pkcs8', pkcs8, algorithm, false, ['sign']);
  return async (index) => {
    const csr = new x509.Pkcs10CertificateRequest(csrAt(index));
    if (!(await csr.verify())) throw new Error('the CSR does not verify');
    const now = systemClock.now();
    await x509.X509CertificateGenerator.create({
      subject: 'C=US,O=SPIRE',
      issuer: issuer.subjectName,
      notBefore: addSeconds(now, -10),
      notAfter: addSeconds(now, 3600),
      publicKey: csr.publicKey,
      signingKey,
      signingAlgorithm: algorithm,
      extensions: [
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension(
          [x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth],
          false,
        ),
        new x509.BasicConstraintsExtension(false, undefined, true),
        await x509.SubjectKeyIdentifierExtension.create(csr.publicKey),
        await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
        new x509.SubjectAlternativeNameExtension([{ type: 'url', value: SPIFFE_ID }], false),
      ],
    });
  };
}

/** The longest time for which nothing else could run while one batch was signed; the median of several batches. */
async function batchStall(operation: Operation): Promise<number> {
  const stalls: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const delays = monitorEventLoopDelay({ resolution: 1 });
    await nextTurn();
    delays.enable();
    const batch = Promise.all(Array.from({ length: BATCH }, (_, index) => operation(index)));
    await batch;
    await nextTurn();
    delays.disable();
    stalls.push(delays.max / 1e6);
  }
  return median(stalls);
}

function median(values: readonly number[]): number {
  return [...values].sort((left, right) => left - right)[Math.floor(values.length / 2)] ?? 0;
}
