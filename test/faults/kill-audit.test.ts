/** Invariants 8 and 9: the server is killed again and again while it issues; whatever a caller has got is in the audit log. */
import { readFile } from 'node:fs/promises';
import { auditFilesAt, readLines } from '@bonafide/server/audit/read-lines';
import { parseRecord } from '@bonafide/server/audit/audit-record';
import { ChainVerifier } from '@bonafide/server/audit/verify-chain';
import { createCertificateSigningRequest } from '@bonafide/shared/crypto/certificate-signing-request';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { launchServer } from '@bonafide/testing/launch-server';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { expect, it } from 'vitest';
import { adminClient } from './admin-client.js';

const ROUNDS = 5;
const CALLERS = 4;
const LEAST_A_ROUND = 20;
const LONGEST_ROUND_MS = 300;

it('kill -9 leaves no SVID without its record, and a log that can be verified', async () => {
  using directory = createTemporaryDirectory();
  await using server = await launchServer({ directory: directory.path, readyLimitMs: 120_000 });
  const csr = await createCertificateSigningRequest(await generatePrivateKey('ec-p256'), {
    uriNames: ['spiffe://example.org/minted'],
  });
  const got = new Set<string>();
  for (let round = 0; round < ROUNDS; round += 1) {
    const before = got.size;
    const admin = adminClient(server, 'spire.api.server.svid.v1.SVID');
    const callers = Array.from({ length: CALLERS }, async () => {
      for (let call = 0; call < 100_000; call += 1) {
        const { svid } = await callUnary(admin, 'MintX509SVID', { csr });
        const [leaf = Buffer.alloc(0)] = svid?.certChain ?? [];
        got.add(parseX509Certificate(leaf).serialNumber);
      }
    }).map((calls) => calls.catch(() => undefined)); // it was killed
    await waitFor('SVIDs to be minted', () => got.size >= before + LEAST_A_ROUND, { limitMs: 150_000 });
    await new Promise((resolve) => setTimeout(resolve, Math.random() * LONGEST_ROUND_MS));
    await server.kill9();
    await Promise.all(callers);
    admin.close();
    await server.process.start();
  }
  await server.stop();

  const folder = directory.join('server', 'audit');
  const verifier = new ChainVerifier({ keys: [], isOpen: false });
  const told = new Set<string>();
  for (const file of await auditFilesAt(folder)) {
    for await (const { bytes, number, isEnded } of readLines(file)) {
      await verifier.add(bytes, `${file}:${number}`, isEnded);
      const { svid } = parseRecord(bytes.toString());
      if (svid?.serial_number !== undefined) told.add(svid.serial_number);
    }
  }
  expect([...got].filter((serialNumber) => !told.has(serialNumber))).toEqual([]);
  expect(verifier.end().problems).toEqual([]);
  expect((await readFile(`${folder}/audit.log`)).at(-1)).toBe(0x0a);
}, 600_000);
