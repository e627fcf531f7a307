import { readFileSync, writeFileSync } from 'node:fs';
import { decodePem } from '@bonafide/shared/crypto/pem';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import {
  formatDevIdAnswer,
  formatDevIdEvidence,
  parseDevIdAnswer,
  parseDevIdChallenge,
  parseDevIdEvidence,
} from '@bonafide/shared/node-attestation/tpm-devid-messages';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { isDevIdSignature } from '@bonafide/shared/tpm/proof/devid-signature';
import { parseDeviceCertificate, parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { mutatedBytes } from '@bonafide/testing/mutated-bytes';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { describe, expect, it } from 'vitest';
import type { NodeAttestor, NodeAttestorHost, ProvenNode } from '../node-attestor.js';
import { devIdSelectors } from './devid-selectors.js';
import { tpmDevId } from './tpm-devid.js';

const fixturePath = (name: string): string => new URL(`fixtures/${name}`, import.meta.url).pathname;
/** When the exchanges were recorded. */
const NOW = new Date('2026-11-22T12:00:00Z');
const host = {
  trustDomain: parseTrustDomain('example.org'),
  clock: systemClock,
  log: silentLogger,
} as NodeAttestorHost;

interface Exchange {
  readonly request: Readonly<Record<string, unknown>>;
  readonly challenge: object;
  readonly response: object;
}

function recorded(type: string): Exchange {
  return JSON.parse(readFileSync(fixturePath(`${type}.exchange.json`), 'utf8')) as Exchange;
}

function attestor(config: object = {}): Promise<NodeAttestor> {
  const all = {
    devid_ca_path: fixturePath('devid-ca.pem'),
    endorsement_ca_path: fixturePath('ek-issuer.pem'),
  };
  return Promise.resolve(tpmDevId.create(tpmDevId.configSchema.parse({ ...all, ...config }), host));
}

const bytes = (message: object): Buffer => Buffer.from(JSON.stringify(message));

function attest(
  server: NodeAttestor,
  payload: Buffer,
  challenge: (data: Buffer) => Promise<Buffer>,
  now = NOW,
): Promise<ProvenNode> {
  const csrHash = Buffer.alloc(32);
  return server.attest({ payload, csrHash, now, challenge, recall: () => Promise.resolve(undefined) });
}

/** Resolves when the evidence was good enough for a challenge. */
async function challengedFor(server: NodeAttestor, payload: Buffer, now = NOW): Promise<Buffer> {
  let asked: Buffer | undefined;
  const refusal = await attest(
    server,
    payload,
    (data) => {
      asked = data;
      return Promise.reject(new BonafideError('cancelled', 'that was all'));
    },
    now,
  ).catch((error: unknown) => error);
  if (asked === undefined) throw refusal;
  return asked;
}

describe.each(['rsa', 'ecc'])('the exchange recorded of a TPM with a DevID of type %s', (type) => {
  const { request, challenge, response } = recorded(type);

  it('is evidence, and is answered by a challenge that this TPM could open', async () => {
    const asked = parseDevIdChallenge(await challengedFor(await attestor(), bytes(request)));
    expect(asked.nonce).toHaveLength(32);
    expect(asked.credential.secret).toHaveLength(256);
    expect(asked.credential.credential.readUInt16BE(0)).toBe(32);
  });

  it('has a signature by the DevID in its answer', () => {
    const { certificates } = parseDevIdEvidence(bytes(request));
    const { publicKey } = parseDeviceCertificate(certificates[0] ?? Buffer.alloc(0));
    const { nonce } = parseDevIdChallenge(bytes(challenge));
    const { signature } = parseDevIdAnswer(bytes(response));
    expect(isDevIdSignature(publicKey, nonce, signature)).toBe(true);
    expect(isDevIdSignature(publicKey, Buffer.alloc(32), signature)).toBe(false);
  });

  it('is no answer to another challenge', async () => {
    await expect(
      attest(await attestor(), bytes(request), () => Promise.resolve(bytes(response))),
    ).rejects.toThrow(/credential activation failed/);
  });

  it('is written again as it was read', () => {
    expect(JSON.parse(formatDevIdEvidence(parseDevIdEvidence(bytes(request))).toString())).toEqual(request);
    expect(JSON.parse(formatDevIdAnswer(parseDevIdAnswer(bytes(response))).toString())).toEqual(response);
  });

  it('makes the selectors of SPIRE', () => {
    const { certificates } = parseDevIdEvidence(bytes(request));
    const [authority = Buffer.alloc(0)] = decodePem(
      'CERTIFICATE',
      readFileSync(fixturePath('devid-ca.pem'), 'utf8'),
    );
    const path = [
      parseDeviceCertificate(certificates[0] ?? Buffer.alloc(0)),
      parseX509Certificate(authority),
    ];
    const values = devIdSelectors(path).map((selector) => `${selector.type}:${selector.value}`);
    expect(values).toEqual([
      `tpm_devid:subject:cn:devid-${type}`,
      'tpm_devid:issuer:cn:DevID CA',
      expect.stringMatching(/^tpm_devid:ca:fingerprint:[0-9a-f]{40}$/),
    ]);
  });

  it('counts only while the DevID and the EK are vouched for', async () => {
    const wrongDevId = await attestor({ devid_ca_path: fixturePath('ek-issuer.pem') });
    await expect(challengedFor(wrongDevId, bytes(request))).rejects.toThrow(/DevID certificate refused/);
    const wrongEk = await attestor({ endorsement_ca_path: fixturePath('devid-ca.pem') });
    await expect(challengedFor(wrongEk, bytes(request))).rejects.toThrow(/EK certificate refused/);
    const server = await attestor();
    await expect(challengedFor(server, bytes(request), new Date('2036-11-20'))).rejects.toThrow(/expired/);
    await expect(challengedFor(server, bytes(request), new Date('2020-01-01'))).rejects.toThrow(
      /not valid before/,
    );
  });

  it('is refused without any one of its parts, with one that is not known, and with any of the other exchange', async () => {
    const server = await attestor();
    const other = recorded(type === 'rsa' ? 'ecc' : 'rsa').request;
    for (const name of Object.keys(request)) {
      const without = Object.fromEntries(Object.entries(request).filter(([key]) => key !== name));
      for (const changed of [without, { ...request, [name]: null }, { ...request, [name]: '' }]) {
        await expect(challengedFor(server, bytes(changed))).rejects.toMatchObject({
          reason: 'invalid_argument',
        });
      }
      if (JSON.stringify(other[name]) === JSON.stringify(request[name])) continue;
      await expect(challengedFor(server, bytes({ ...request, [name]: other[name] }))).rejects.toThrow(
        BonafideError,
      );
    }
    await expect(challengedFor(server, bytes({ ...request, More: 'AA==' }))).rejects.toThrow(/malformed/);
  });

  it('is refused when it is larger than such things are', async () => {
    const server = await attestor();
    const [own] = request['DevIDCert'] as string[];
    for (const changed of [
      ...Object.keys(request).map((name) => ({
        ...request,
        [name]: Buffer.alloc(20_000).toString('base64'),
      })),
      { ...request, DevIDCert: Array.from({ length: 11 }, () => own) },
      { ...request, EKPub: 'A'.repeat(200_000) },
    ]) {
      await expect(challengedFor(server, bytes(changed))).rejects.toMatchObject({
        reason: 'invalid_argument',
      });
    }
  });

  it('is refused whatever is changed in it, and cut short anywhere', async () => {
    const server = await attestor();
    const binding = ['DevIDPub', 'EKCert', 'EKPub', 'AKPub', 'CertifiedDevID', 'CertificationSignature'];
    const outcomes = { refused: 0, same: 0 };
    for (const name of binding) {
      const good = Buffer.from(String(request[name]), 'base64');
      for (let seed = 0; seed < 120; seed += 1) {
        const mutated = mutatedBytes(good, seed);
        const payload = bytes({ ...request, [name]: mutated.toString('base64') });
        if (mutated.equals(good)) {
          outcomes.same += 1;
          continue;
        }
        const refusal = await challengedFor(server, payload).catch((error: unknown) => error);
        // What an AK and an EK say besides their keys is in no signature: that it is not so shows when the TPM cannot open the credential.
        const isUnsigned = (name === 'AKPub' || name === 'EKPub') && Buffer.isBuffer(refusal);
        if (!isUnsigned) expect(refusal, `${name} seed ${seed}`).toBeInstanceOf(BonafideError);
        outcomes.refused += 1;
      }
      for (let length = 0; length < good.length; length += 23) {
        const payload = bytes({ ...request, [name]: good.subarray(0, length).toString('base64') });
        await expect(challengedFor(server, payload)).rejects.toThrow(BonafideError);
      }
    }
    expect(outcomes.refused).toBeGreaterThan(600);
  });

  it('never confuses who reads its messages', async () => {
    const server = await attestor();
    for (let seed = 0; seed < 1000; seed += 1) {
      const refusal = await challengedFor(server, mutatedBytes(bytes(request), seed)).catch(
        (error: unknown) => error,
      );
      // One of many changes may hit nothing: the DevID's certificate has no say in what is signed over.
      if (!Buffer.isBuffer(refusal)) expect(refusal, `seed ${seed}`).toBeInstanceOf(BonafideError);
      for (const parse of [parseDevIdAnswer, parseDevIdChallenge]) {
        const message = mutatedBytes(bytes(parse === parseDevIdAnswer ? response : challenge), seed);
        try {
          parse(message);
        } catch (error) {
          expect(error).toBeInstanceOf(BonafideError);
        }
      }
    }
  });
});

describe('the configuration of tpm_devid', () => {
  it('needs both bundles, and files that hold certificates', async () => {
    expect(tpmDevId.configSchema.safeParse({ devid_ca_path: 'x' }).success).toBe(false);
    expect(tpmDevId.configSchema.safeParse({ endorsement_ca_path: 'x' }).success).toBe(false);
    using directory = createTemporaryDirectory();
    const path = directory.join('none.pem');
    await expect(attestor({ devid_ca_path: path })).rejects.toThrow(/none\.pem/);
    writeFileSync(path, 'no PEM');
    await expect(attestor({ endorsement_ca_path: path })).rejects.toThrow(/unable to load trust bundle/);
  });
});
