import { spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { launchSwtpm, swtpmIsInstalled, type Swtpm } from '@bonafide/testing/launch-swtpm';
import { runProcess } from '@bonafide/testing/run-command';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createPrimary } from './commands/objects.js';
import { EK_TEMPLATE, encodeKeyTemplate } from '../key-template.js';
import { makeCredential } from '../proof/make-credential.js';
import { TpmDevice } from './tpm-device.js';
import { parseTpmPublic, publicKeyOf, tpmName } from '../tpm-public.js';
import { TpmReader } from '../tpm-reader.js';
import { TpmWriter } from '../tpm-writer.js';
import { verifyQuote } from '../proof/verify-quote.js';

const LIMIT_MS = 120_000;
const TOOL_LIMIT_MS = 60_000;
const NONCE = createHash('sha256').update('nonce').digest();
const PCRS = [0, 1, 7, 10];
/** What tpm2-tools put before the two structures in a credential's file. */
const CREDENTIAL_MAGIC = 0xbadcc0de;

const hasTools = spawnSync('tpm2_checkquote', ['--version']).status === 0;
const missing = [...(swtpmIsInstalled() ? [] : ['swtpm']), ...(hasTools ? [] : ['tpm2-tools'])].join(' and ');
const title = 'beside tpm2-tools';

describe.skipIf(missing !== '')(
  missing === '' ? title : `${title} (skipped: ${missing} not installed)`,
  { timeout: LIMIT_MS },
  () => {
    let swtpm: Swtpm;
    let directory: TemporaryDirectory;
    beforeAll(async () => {
      directory = createTemporaryDirectory();
      swtpm = await launchSwtpm();
    }, LIMIT_MS);
    afterAll(async () => {
      await swtpm.stop();
      directory.remove();
    });

    /** Files are named within the test's folder. Tools leave objects in a TPM without a resource manager, so they are flushed. */
    async function tool(name: string, ...args: readonly string[]): Promise<string> {
      const options = {
        cwd: directory.path,
        env: { TPM2TOOLS_TCTI: `swtpm:path=${swtpm.socketPath}` },
        limitMs: TOOL_LIMIT_MS,
      };
      const done = await runProcess(name, args, options);
      if (done.code !== 0) throw new Error(`${name} ${args.join(' ')}: ${done.stdout}${done.stderr}`);
      await runProcess('tpm2_flushcontext', ['-t'], options);
      return done.stdout;
    }
    /** It serves one client at a time: ours must be gone before a tool is run. */
    async function withTpm<T>(use: (tpm: TpmDevice) => Promise<T>): Promise<T> {
      await using tpm = await TpmDevice.open({ path: swtpm.path });
      return await use(tpm);
    }
    const file = (name: string): Promise<Buffer> => readFile(directory.join(name));

    it('tpm2_checkquote accepts our quote, and not with another nonce', async () => {
      const { ak, quote } = await withTpm(async (tpm) => ({
        ak: await tpm.attestationKey(),
        quote: await tpm.quote('sha256', PCRS, NONCE),
      }));
      await writeFile(directory.join('ak.pem'), publicKeyOf(ak).export({ type: 'spki', format: 'pem' }));
      await writeFile(directory.join('our.attest'), quote.attest);
      await writeFile(directory.join('our.signature'), quote.signature);
      const check = ['-u', 'ak.pem', '-m', 'our.attest', '-s', 'our.signature', '-g', 'sha256', '-q'];
      await tool('tpm2_checkquote', ...check, NONCE.toString('hex'));
      await expect(tool('tpm2_checkquote', ...check, randomBytes(32).toString('hex'))).rejects.toThrow();
    });

    it.each([
      ['ecdsa', 'ecc256:ecdsa-sha256:null'],
      ['rsassa', 'rsa2048:rsassa-sha256:null'],
      ['rsapss', 'rsa2048:rsapss-sha256:null'],
    ])('verifyQuote accepts what tpm2_quote makes by %s', async (scheme, kind) => {
      const attributes = 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|sign';
      await tool('tpm2_createprimary', '-C', 'e', '-G', kind, '-a', attributes, '-c', 'tools-ak.ctx');
      await tool('tpm2_readpublic', '-c', 'tools-ak.ctx', '-o', 'tools-ak.pub', '-n', 'tools-ak.name');
      const selection = `sha256:${PCRS.join(',')}`;
      const out = [
        '--scheme',
        scheme,
        '-m',
        'their.attest',
        '-s',
        'their.signature',
        '-o',
        'their.pcrs',
        '-F',
        'values',
      ];
      await tool('tpm2_quote', '-c', 'tools-ak.ctx', '-l', selection, '-q', NONCE.toString('hex'), ...out);
      const ak = parseTpmPublic((await file('tools-ak.pub')).subarray(2));
      expect(tpmName(ak)).toEqual(await file('tools-ak.name'));
      const pcrs = await file('their.pcrs');
      const values = new Map(PCRS.map((pcr, index) => [pcr, pcrs.subarray(index * 32, index * 32 + 32)]));
      const attest = await file('their.attest');
      const signature = await file('their.signature');
      const claim = {
        ak,
        attest,
        signature,
        extraData: NONCE,
        bank: 'sha256',
        pcrs: PCRS,
        values,
      } as const;
      expect(verifyQuote(claim).restartCount).toBe(0);
      expect(() => verifyQuote({ ...claim, extraData: randomBytes(32) })).toThrow('this challenge');
    });

    it('our TPM opens what tpm2_makecredential made', async () => {
      const { ek, name } = await withTpm(async (tpm) => ({
        ek: await tpm.endorsementKey(),
        name: tpmName(await tpm.attestationKey()),
      }));
      await writeFile(directory.join('ek.pub'), new TpmWriter().sized(ek.public.raw).build());
      await writeFile(directory.join('secret'), NONCE);
      const made = ['-u', 'ek.pub', '-s', 'secret', '-n', name.toString('hex'), '-o', 'their.credential'];
      await tool('tpm2_makecredential', '-T', 'none', ...made);
      const reader = new TpmReader(await file('their.credential'), 'credential file');
      expect(reader.readUint32('magic')).toBe(CREDENTIAL_MAGIC);
      reader.readUint32('version');
      const credential = reader.readSized(1024, 'credential');
      const secret = reader.readSized(1024, 'secret');
      reader.expectEnd();
      expect(await withTpm((tpm) => tpm.activate(credential, secret))).toEqual(NONCE);
    });

    it.each([
      ['rsa', 'lowRsa2048'],
      ['ecc', 'lowP256'],
    ] as const)('tpm2_activatecredential opens what we make for an %s key', async (kind, template) => {
      await tool('tpm2_createek', '-c', 'tools-ek.ctx', '-G', kind, '-u', 'tools-ek.pub');
      const akFiles = ['-c', 'ak.ctx', '-u', 'ak.pub', '-n', 'ak.name'];
      await tool(
        'tpm2_createak',
        '-C',
        'tools-ek.ctx',
        '-G',
        'ecc',
        '-s',
        'ecdsa',
        '-g',
        'sha256',
        ...akFiles,
      );
      const ek = parseTpmPublic((await file('tools-ek.pub')).subarray(2));
      const key = { template: encodeKeyTemplate(EK_TEMPLATE[template]) };
      const made = await withTpm((tpm) => tpm.run((turn) => createPrimary(turn, 'endorsement', key)));
      expect(made.public.raw).toEqual(ek.raw);
      const { credential, secret } = makeCredential(ek, await file('ak.name'), NONCE);
      const ours = new TpmWriter().uint32(CREDENTIAL_MAGIC).uint32(1).sized(credential).sized(secret).build();
      await writeFile(directory.join('our.credential'), ours);
      await tool('tpm2_startauthsession', '--policy-session', '-S', 'session.ctx');
      await tool('tpm2_policysecret', '-S', 'session.ctx', '-c', 'e');
      const opened = ['-c', 'ak.ctx', '-C', 'tools-ek.ctx', '-i', 'our.credential', '-o', 'opened'];
      await tool('tpm2_activatecredential', ...opened, '-P', 'session:session.ctx');
      await tool('tpm2_flushcontext', 'session.ctx');
      expect(await file('opened')).toEqual(NONCE);
    });
  },
);
