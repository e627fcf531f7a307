import { spawnSync } from 'node:child_process';
import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { createNodeAttestor, nodeAttestorSchema } from '@bonafide/agent/node-attestation/attestors';
import type { NodeAttestor as AgentHalf } from '@bonafide/agent/node-attestation/node-attestor';
import type {
  NodeAttestor as ServerHalf,
  NodeAttestorHost,
} from '@bonafide/server/node-attestation/node-attestor';
import { tpmDevId } from '@bonafide/server/node-attestation/tpm-devid/tpm-devid';
import { decodePem, encodePem } from '@bonafide/shared/crypto/pem';
import { errorMessage } from '@bonafide/shared/errors/bonafide-error';
import {
  formatDevIdAnswer,
  formatDevIdChallenge,
  formatDevIdEvidence,
  parseDevIdAnswer,
  parseDevIdChallenge,
  parseDevIdEvidence,
  type DevIdAnswer,
  type DevIdChallenge,
  type DevIdEvidence,
} from '@bonafide/shared/node-attestation/tpm-devid-messages';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { TPM_ALG } from '@bonafide/shared/tpm/algorithm';
import { certifyKey } from '@bonafide/shared/tpm/device/commands/attestation';
import { createKey, createPrimary, loadKey } from '@bonafide/shared/tpm/device/commands/objects';
import { TPM_HANDLE } from '@bonafide/shared/tpm/hierarchy';
import {
  ATTESTATION_TEMPLATE,
  encodeKeyTemplate,
  STORAGE_TEMPLATE,
  type KeyTemplate,
} from '@bonafide/shared/tpm/key-template';
import { makeCredential } from '@bonafide/shared/tpm/proof/make-credential';
import { TpmDevice } from '@bonafide/shared/tpm/device/tpm-device';
import { parseTpmPublic, tpmName } from '@bonafide/shared/tpm/tpm-public';
import { TpmWriter } from '@bonafide/shared/tpm/tpm-writer';
import { ForgedAttestationKey } from '@bonafide/testing/forged-attestation-key';
import { launchSwtpm, swtpmIsInstalled, type Swtpm } from '@bonafide/testing/launch-swtpm';
import { provisionDevId, type DevIdWish } from '@bonafide/testing/provision-devid';
import { runProcess } from '@bonafide/testing/run-command';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { createTestParty, type TestParty } from '@bonafide/testing/test-party';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { InProcessAgent } from './agent-in-process.js';
import { pairAttestors } from './pair-attestors.js';
import { InProcessServer } from './server-in-process.js';

const LIMIT_MS = 300_000;
const HAS_TOOLS = spawnSync('tpm2_create', ['--version']).status === 0;
const TOOL_ATTRIBUTES = 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth';
const title = 'tpm_devid, both halves, with software TPMs';
const host = {
  trustDomain: parseTrustDomain('example.org'),
  clock: systemClock,
  log: silentLogger,
} as NodeAttestorHost;

interface DevIdFiles {
  readonly devid_cert_path: string;
  readonly devid_priv_path: string;
  readonly devid_pub_path: string;
}

describe.skipIf(!swtpmIsInstalled())(
  swtpmIsInstalled() ? title : `${title} (skipped: swtpm not installed)`,
  { timeout: LIMIT_MS },
  () => {
    let directory: TemporaryDirectory;
    let authority: TestParty;
    let swtpm: Swtpm;
    let other: Swtpm;
    let serverConfig: { devid_ca_path: string; endorsement_ca_path: string };
    let server: ServerHalf;
    let files: Record<'rsa' | 'ecc', DevIdFiles>;
    /** Of the DevID of type ecc. */
    let good: DevIdEvidence;
    let count = 0;

    beforeAll(async () => {
      directory = createTemporaryDirectory();
      const authorityDirectory = directory.join('ek-authority');
      swtpm = await launchSwtpm({ authorityDirectory });
      other = await launchSwtpm({ authorityDirectory });
      authority = await createTestParty({ name: 'DevID CA', isCa: true });
      serverConfig = {
        devid_ca_path: await written('devid-ca.pem', pem(authority.certificate)),
        endorsement_ca_path: await written('ek-ca.pem', swtpm.ekRoots.map(pem).join('')),
      };
      server = await tpmDevId.create(tpmDevId.configSchema.parse(serverConfig), host);
      files = { rsa: await provisioned({ type: 'rsa' }), ecc: await provisioned({ type: 'ecc' }) };
      good = await evidenceOf(agent(files.ecc));
    }, LIMIT_MS);

    afterAll(async () => {
      await swtpm.stop();
      await other.stop();
      directory.remove();
    }, LIMIT_MS);

    function pem(der: Buffer): string {
      return encodePem('CERTIFICATE', der);
    }

    async function written(name: string, content: string | Buffer): Promise<string> {
      await writeFile(directory.join(name), content);
      return directory.join(name);
    }

    async function provisioned(wish: Partial<DevIdWish>, tpm = swtpm): Promise<DevIdFiles> {
      const devId = await provisionDevId(tpm.path, { type: 'ecc', issuer: authority, ...wish });
      count += 1;
      return {
        devid_cert_path: await written(`${count}.crt`, pem(devId.certificate)),
        devid_priv_path: await written(`${count}.priv`, devId.privateBlob),
        devid_pub_path: await written(`${count}.pub`, devId.publicBlob),
      };
    }

    function agent(config: object, path = swtpm.path): AgentHalf {
      const own = nodeAttestorSchema.parse({ tpm_devid: { tpm_device_path: path, ...config } });
      return createNodeAttestor(own, { ...host, joinToken: undefined });
    }

    /** As the agent sends it, and nothing more. */
    async function evidenceOf(half: AgentHalf): Promise<DevIdEvidence> {
      let evidence: DevIdEvidence | undefined;
      const send = (data: Buffer): Promise<Buffer> => {
        evidence = parseDevIdEvidence(data);
        return Promise.reject(new Error('that was all'));
      };
      await expect(half.attest({ csrHash: Buffer.alloc(32), send })).rejects.toThrow('that was all');
      if (evidence === undefined) throw new Error('the agent sent nothing');
      return evidence;
    }

    /** What the server says to such evidence, answered by whoever can make up nothing better. */
    async function verdictOn(evidence: DevIdEvidence, half = server, answer = GUESS): Promise<string> {
      return half
        .attest({
          payload: formatDevIdEvidence(evidence),
          csrHash: Buffer.alloc(32),
          now: new Date(),
          challenge: () => Promise.resolve(formatDevIdAnswer(answer)),
          recall: () => Promise.resolve(undefined),
        })
        .then(() => 'attested', errorMessage);
    }

    /** The agent's own messages, as someone on the way changes them. */
    function tamperedWith(
      half: AgentHalf,
      change: {
        readonly evidence?: (evidence: DevIdEvidence) => DevIdEvidence;
        readonly challenge?: (challenge: DevIdChallenge) => DevIdChallenge;
        readonly answer?: (answer: DevIdAnswer) => DevIdAnswer;
      },
    ): AgentHalf {
      return {
        type: half.type,
        isSpent: half.isSpent,
        async attest(exchange) {
          let isFirst = true;
          await half.attest({
            ...exchange,
            async send(data) {
              if (!isFirst) {
                const answer = parseDevIdAnswer(data);
                return exchange.send(formatDevIdAnswer(change.answer?.(answer) ?? answer));
              }
              isFirst = false;
              const evidence = parseDevIdEvidence(data);
              const message = await exchange.send(
                formatDevIdEvidence(change.evidence?.(evidence) ?? evidence),
              );
              if (message === undefined) return undefined;
              const challenge = parseDevIdChallenge(message);
              return formatDevIdChallenge(change.challenge?.(challenge) ?? challenge);
            },
          });
        },
      };
    }

    async function refusalOf(half: AgentHalf, by = server): Promise<string> {
      return pairAttestors(half, by).then(() => 'attested', errorMessage);
    }

    /** The DevID certified by a key that is like an attestation key, but for what is told. */
    async function certifiedBy(template: KeyTemplate, devId: DevIdFiles): Promise<DevIdEvidence> {
      const evidence = await evidenceOf(agent(devId));
      await using device = await TpmDevice.open({ path: swtpm.path });
      return await device.run(async (turn) => {
        const parent = await createPrimary(turn, 'owner', {
          template: encodeKeyTemplate(STORAGE_TEMPLATE.rsa),
        });
        const wrapped = {
          privateBlob: await readFile(devId.devid_priv_path),
          publicBlob: await readFile(devId.devid_pub_path),
        };
        const key = await loadKey(turn, parent.handle, wrapped);
        const made = await createKey(turn, parent.handle, { template: encodeKeyTemplate(template) });
        const ak = await loadKey(turn, parent.handle, made);
        const signed = await certifyKey(turn, key, ak, Buffer.alloc(0));
        return { ...evidence, akPublic: ak.public.raw, ...signed };
      });
    }

    it.each(['rsa', 'ecc'] as const)('attest over TLS, and again, with a DevID of type %s', async (type) => {
      await using running = await InProcessServer.start({
        config: { plugins: { NodeAttestor: { tpm_devid: serverConfig } } },
      });
      const config = {
        plugins: { NodeAttestor: { tpm_devid: { ...files[type], tpm_device_path: swtpm.path } } },
      };
      const [certificate = Buffer.alloc(0)] = decodePem(
        'CERTIFICATE',
        await readFile(files[type].devid_cert_path, 'utf8'),
      );
      const path = `/spire/agent/tpm_devid/${sha1(certificate)}`;
      const client = running.local('spire.api.server.agent.v1.Agent');
      const serials = new Set<string>();
      for (let turn = 1; turn <= 2; turn += 1) {
        await using attested = await InProcessAgent.start({ server: running, withoutToken: true, config });
        await waitFor(
          'the agent at the server',
          async () => {
            const [known] = (await callUnary(client, 'ListAgents', {})).agents;
            if (known !== undefined) serials.add(known.x509svidSerialNumber);
            return serials.size === turn;
          },
          { limitMs: 150_000, explain: () => attested.logLines.map(({ msg }) => msg).join('\n') },
        );
      }
      const { agents } = await callUnary(client, 'ListAgents', {});
      expect(agents).toHaveLength(1);
      expect(agents[0]).toMatchObject({ id: { trustDomain: 'example.org', path }, canReattest: true });
      expect(agents[0]?.selectors.map(({ value }) => value)).toEqual(
        ['subject:cn:devid', 'issuer:cn:DevID CA', `ca:fingerprint:${sha1(authority.certificate)}`].sort(),
      );
    });

    it('take what else a genuine DevID may be: restricted, with a password, below an intermediate authority', async () => {
      const restricted = await provisioned({
        type: 'rsa',
        template: { attributes: [...GOOD_DEVID, 'restricted'] },
      });
      expect(await refusalOf(agent(restricted))).toBe('attested');

      const guarded = await provisioned({ password: 'open sesame' });
      expect(await refusalOf(agent({ ...guarded, devid_password: 'open sesame' }))).toBe('attested');
      expect(await refusalOf(agent(guarded))).toContain('the password is wrong');

      const middle = await createTestParty({ name: 'middle', issuer: authority, isCa: true });
      const below = await provisioned({ issuer: middle });
      expect(await refusalOf(agent(below))).toContain('does not lead to any of the trusted authorities');
      await appendFile(below.devid_cert_path, pem(middle.certificate));
      const proven = await pairAttestors(agent(below), server);
      expect(proven.selectors.map(({ value }) => value)).toEqual([
        'subject:cn:devid',
        'issuer:cn:middle',
        `ca:fingerprint:${sha1(middle.certificate)}`,
        `ca:fingerprint:${sha1(authority.certificate)}`,
      ]);
    });

    it.skipIf(!HAS_TOOLS)(
      'take what tpm2-tools provisioned as the documentation says (needs tpm2-tools)',
      async () => {
        const run = async (name: string, ...args: readonly string[]): Promise<void> => {
          const env = { TPM2TOOLS_TCTI: `swtpm:path=${swtpm.socketPath}` };
          const options = { cwd: directory.path, env, limitMs: LIMIT_MS };
          const { code, stderr } = await runProcess(name, args, options);
          expect(stderr).not.toContain('ERROR');
          expect(code).toBe(0);
        };
        const parent = ['-c', 'srk.ctx', '-a', `${TOOL_ATTRIBUTES}|noda|restricted|decrypt`];
        const names = ['-u', 'devid.pub', '-r', 'devid.priv', '-f', 'pem', '-o', 'devid-key.pem'];
        await run('tpm2_createprimary', '-C', 'o', '-g', 'sha256', '-G', 'ecc256:null:aes128cfb', ...parent);
        await run('tpm2_flushcontext', '-t');
        await run(
          'tpm2_create',
          ...['-C', 'srk.ctx', '-g', 'sha256', '-G', 'ecc256:ecdsa-sha256:null', ...names],
          ...['-a', `${TOOL_ATTRIBUTES}|sign`],
        );
        await run('tpm2_flushcontext', '-t');
        const key = createPublicKey(await readFile(directory.join('devid-key.pem')));
        const { certificate } = await createTestParty({ name: 'tool', issuer: authority, spki: spkiOf(key) });
        const devId = {
          devid_cert_path: await written('tool.crt', pem(certificate)),
          devid_priv_path: directory.join('devid.priv'),
          devid_pub_path: directory.join('devid.pub'),
        };
        expect(await refusalOf(agent(devId))).toBe('attested');
      },
    );

    it('use the passwords of the hierarchies', async () => {
      const path = other.path;
      const passwords = { owner: Buffer.from('o'), endorsement: Buffer.from('e'), none: Buffer.alloc(0) };
      const devId = await provisioned({}, other);
      const change = async (handle: number, from: Buffer, to: Buffer): Promise<void> => {
        await using device = await TpmDevice.open({ path });
        await device.run((turn) =>
          turn.execute({
            name: 'TPM2_HierarchyChangeAuth',
            code: 0x0129,
            handles: [handle],
            authorizations: [{ password: from }],
            parameters: new TpmWriter().sized(to).build(),
          }),
        );
      };
      await change(TPM_HANDLE.owner, passwords.none, passwords.owner);
      await change(TPM_HANDLE.endorsement, passwords.none, passwords.endorsement);
      const right = { owner_hierarchy_password: 'o', endorsement_hierarchy_password: 'e' };
      expect(await refusalOf(agent({ ...devId, ...right }, path))).toBe('attested');
      for (const wrong of [{ owner_hierarchy_password: 'x' }, { endorsement_hierarchy_password: 'x' }]) {
        expect(await refusalOf(agent({ ...devId, ...right, ...wrong }, path))).toContain(
          'the password is wrong',
        );
      }
      await change(TPM_HANDLE.owner, passwords.owner, passwords.none);
      await change(TPM_HANDLE.endorsement, passwords.endorsement, passwords.none);
    });

    it('leave the TPM as it was, also after a refusal', async () => {
      for (let turn = 0; turn < 3; turn += 1) {
        expect(await refusalOf(agent(files.ecc))).toBe('attested');
        await evidenceOf(agent(files.ecc));
      }
    });

    it('do not prove the DevID of another TPM', async () => {
      expect(await refusalOf(agent(files.ecc, other.path))).toMatch(
        /cannot load the DevID key, which must have been made in this TPM.*made for another TPM/s,
      );
      // Its certificate and public key, with what another TPM says of its own key.
      const mine = await provisioned({}, other);
      const stolen = good;
      const own = await evidenceOf(agent(mine, other.path));
      const { certificates, devIdPublic } = stolen;
      expect(await verdictOn({ ...own, certificates, devIdPublic })).toContain('it is about another key');
      // All of it, as if it were in the TPM of the other's EK.
      const { ekCertificate, ekPublic } = own;
      const spliced = tamperedWith(agent(files.ecc), {
        evidence: (evidence) => ({ ...evidence, ekCertificate, ekPublic }),
      });
      // Some TPMs say why, others only that they cannot.
      expect(await refusalOf(spliced)).toContain('the TPM refused TPM2_ActivateCredential');
      expect(await verdictOn({ ...stolen, ekCertificate, ekPublic })).toContain(
        'credential activation failed',
      );
      expect(await verdictOn({ ...stolen, ekCertificate })).toContain(
        'EK certificate refused: it is about another key',
      );
    });

    it.each([
      ['restricted', ['fixedTPM', 'fixedParent', 'sensitiveDataOrigin', 'userWithAuth', 'sign']],
      ['fixedTPM', ['sensitiveDataOrigin', 'userWithAuth', 'restricted', 'sign']],
    ] as const)('do not believe an attestation key that is not %s', async (name, attributes) => {
      const forged = await certifiedBy({ ...ATTESTATION_TEMPLATE.rsa, attributes }, files.rsa);
      expect(await verdictOn(forged)).toContain(
        `attestation key refused: lacks ${name}`.replace('refused: ', 'refused: it '),
      );
      const good = await certifiedBy(ATTESTATION_TEMPLATE.rsa, files.rsa);
      expect(await verdictOn(good)).toContain('credential activation failed');
    });

    it('do not believe attestation keys of other kinds, nor those that are in no TPM', async () => {
      const evidence = good;
      const forged = new ForgedAttestationKey();
      const name = tpmName(parseTpmPublic(evidence.devIdPublic));
      const certified = { akPublic: forged.public.raw, ...forged.certify(name, Buffer.alloc(0)) };
      expect(await verdictOn({ ...evidence, ...certified })).toContain('AKPub is not an RSA key');
      expect(await verdictOn({ ...evidence, ekPublic: forged.public.raw })).toContain(
        'EKPub is not an RSA key',
      );
      const ecc = await certifiedBy(ATTESTATION_TEMPLATE.ecc, files.rsa);
      expect(await verdictOn(ecc)).toContain('AKPub is not an RSA key');
    });

    it('do not believe a certificate of another key, nor a key that could leave its TPM', async () => {
      const evidence = good;
      // What a DevID authority certified for a key in software.
      const soft = await createTestParty({ name: 'soft', issuer: authority });
      const certificates = [soft.certificate];
      expect(await verdictOn({ ...evidence, certificates })).toBe(
        'DevIDPub is not the key of the DevID certificate',
      );
      const { devid_pub_path } = files.ecc;
      const devid_cert_path = await written('soft.crt', pem(soft.certificate));
      await expect(
        pairAttestors(agent({ ...files.ecc, devid_cert_path, devid_pub_path }), server),
      ).rejects.toThrow(/is not that of the first certificate/);
      const loose = await provisioned({
        template: { attributes: ['sensitiveDataOrigin', 'userWithAuth', 'sign'] },
      });
      expect(await refusalOf(agent(loose))).toContain('it lacks fixedTPM, fixedParent');
    });

    it('do not believe a certification of another key, nor one of another kind', async () => {
      const evidence = good;
      const { attest, signature } = await evidenceOf(agent(files.ecc));
      expect(await verdictOn({ ...evidence, attest, signature })).toContain('does not verify');
      const { attest: about, signature: by, akPublic } = await evidenceOf(agent(await provisioned({})));
      expect(await verdictOn({ ...evidence, attest: about, signature: by, akPublic })).toContain(
        'it is about another key',
      );
    });

    it('do not take an answer of another attestation key, nor one of another time', async () => {
      const name = Buffer.concat([Buffer.from([0, 0x0b]), Buffer.alloc(32, 1)]);
      let ek: Buffer = Buffer.alloc(0);
      const wrongAk = tamperedWith(agent(files.rsa), {
        evidence: (evidence) => {
          ek = evidence.ekPublic;
          return evidence;
        },
        challenge: (challenge) => ({
          ...challenge,
          credential: makeCredential(parseTpmPublic(ek), name, Buffer.alloc(32)),
        }),
      });
      expect(await refusalOf(wrongAk)).toContain('made for another TPM or for another key');

      const answers: DevIdAnswer[] = [];
      const keeping = tamperedWith(agent(files.rsa), {
        answer: (answer) => {
          answers.push(answer);
          return answer;
        },
      });
      expect(await refusalOf(keeping)).toBe('attested');
      const [old = GUESS] = answers;
      const replayed = (change: Partial<DevIdAnswer>): AgentHalf =>
        tamperedWith(agent(files.rsa), { answer: (answer) => ({ ...answer, ...change }) });
      expect(await refusalOf(replayed(old))).toContain('credential activation failed');
      expect(await refusalOf(replayed({ activated: old.activated }))).toContain(
        'credential activation failed',
      );
      expect(await refusalOf(replayed({ signature: old.signature }))).toContain(
        'DevID challenge verification failed',
      );
      expect(await refusalOf(replayed({ signature: Buffer.alloc(256) }))).toContain('verification failed');
    });

    it('do not believe a TPM of a maker that is not trusted', async () => {
      await using rogue = await launchSwtpm();
      const devId = await provisioned({}, rogue);
      expect(await refusalOf(agent(devId, rogue.path))).toContain('EK certificate refused');
      // Whoever made the TPM: the certificate of one that is trusted is about another key.
      const { ekCertificate } = good;
      const borrowed = tamperedWith(agent(devId, rogue.path), {
        evidence: (evidence) => ({ ...evidence, ekCertificate }),
      });
      expect(await refusalOf(borrowed)).toContain('it is about another key');
    });

    it('do not believe a DevID that expired, that is an authority, that is for something else, or that nobody signed', async () => {
      const past = new Date(Date.now() - 60_000);
      expect(await refusalOf(agent(await provisioned({ certificate: { notAfter: past } })))).toContain(
        'expired',
      );
      const ca = await provisioned({ certificate: { isCa: true } });
      expect(await refusalOf(agent(ca))).toContain('it is the certificate of an authority');
      const other = await provisioned({ certificate: { keyUsages: ['keyEncipherment'] } });
      expect(await refusalOf(agent(other))).toContain('digitalSignature');
      const self = await provisioned({ issuer: await createTestParty({ name: 'DevID CA', isCa: true }) });
      expect(await refusalOf(agent(self))).toContain('DevID certificate refused');
    });

    it.each([1024, 8193, 16_384])('refuse a DevID of %i bits before they compute with it', async (bits) => {
      const modulus = Buffer.alloc(Math.ceil(bits / 8), 0xff);
      modulus.writeUInt8(bits % 8 === 0 ? 0xff : 1, 0);
      const key = createPublicKey({
        format: 'jwk',
        key: { kty: 'RSA', n: modulus.toString('base64url'), e: 'AQAB' },
      });
      const { certificate } = await createTestParty({ name: 'x', issuer: authority, spki: spkiOf(key) });
      expect(await verdictOn({ ...good, certificates: [certificate] })).toContain(`RSA key of ${bits} bits`);
    });

    it('sign nothing that is no nonce of a server', async () => {
      for (const nonce of [Buffer.alloc(31), Buffer.alloc(33), Buffer.from('ff544347', 'hex')]) {
        const curious = tamperedWith(agent(files.ecc), {});
        const asking: AgentHalf = {
          ...curious,
          attest: (exchange) =>
            agent(files.ecc).attest({
              ...exchange,
              send: () =>
                Promise.resolve(
                  formatDevIdChallenge({
                    nonce,
                    credential: { credential: Buffer.alloc(68), secret: Buffer.alloc(256) },
                  }),
                ),
            }),
        };
        await expect(
          asking.attest({ csrHash: Buffer.alloc(32), send: () => Promise.resolve(undefined) }),
        ).rejects.toThrow(/tpm_devid challenge is malformed/);
      }
    });

    it('say which file is of no use', async () => {
      const junk = await written('junk', 'junk');
      for (const name of ['devid_cert_path', 'devid_pub_path'] as const) {
        expect(await refusalOf(agent({ ...files.ecc, [name]: junk }))).toContain(`cannot use ${junk}`);
      }
      expect(await refusalOf(agent({ ...files.ecc, devid_priv_path: junk }))).toContain(
        'cannot load the DevID key',
      );
      const missing = directory.join('missing');
      expect(await refusalOf(agent({ ...files.ecc, devid_priv_path: missing }))).toContain(
        `cannot use ${missing}`,
      );
      const area = await readFile(files.ecc.devid_pub_path);
      area.writeUInt16BE(TPM_ALG.sha384, SCHEME_HASH_OFFSET);
      const devid_pub_path = await written('sha384.pub', area);
      expect(await refusalOf(agent({ ...files.ecc, devid_pub_path }))).toContain(
        'must be bound to ECDSA with SHA-256',
      );
    });
  },
);

/** In a TPMT_PUBLIC without a policy and without a symmetric algorithm. */
const SCHEME_HASH_OFFSET = 14;
const GOOD_DEVID = ['fixedTPM', 'fixedParent', 'sensitiveDataOrigin', 'userWithAuth', 'sign'] as const;
const GUESS: DevIdAnswer = { signature: Buffer.alloc(70, 1), activated: Buffer.alloc(32, 1) };

function sha1(der: Buffer): string {
  return createHash('sha1').update(der).digest('hex');
}

function spkiOf(key: KeyObject): Buffer {
  return key.export({ type: 'spki', format: 'der' });
}
