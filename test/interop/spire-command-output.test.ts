/** The same commands against a stock SPIRE server with SPIRE's command line, and against ours with ours: what they print, and their exit codes. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runServerProgram } from '@bonafide/server/cli/program';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { createRecordedHost } from '@bonafide/testing/recorded-host';
import { runProcess } from '@bonafide/testing/run-command';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { InProcessServer } from '../integration/server-in-process.js';
import { readSpireTables } from '../integration/spire-table.js';
import {
  hasSpire,
  launchSpireAgent,
  launchSpireServer,
  NEEDS_SPIRE,
  SPIRE_ENVIRONMENT,
  type SpireProgram,
  type SpireServer,
} from './spire-programs.js';

interface Outcome {
  readonly code: number | undefined;
  readonly stdout: string;
}

const WEB = '-spiffeID spiffe://example.org/web -parentID spiffe://example.org/rack';
const ENTRIES = {
  entries: [
    {
      spiffe_id: 'spiffe://example.org/batch',
      parent_id: 'spiffe://example.org/rack',
      selectors: [{ type: 'unix', value: 'uid:7' }],
    },
  ],
};

describe.runIf(hasSpire)(`what commands print ${NEEDS_SPIRE}`, { timeout: 120_000 }, () => {
  let directory: TemporaryDirectory;
  let spire: SpireServer;
  let ours: InProcessServer;
  const agents: SpireProgram[] = [];

  beforeAll(async () => {
    directory = createTemporaryDirectory({ isPublic: true });
    spire = await launchSpireServer(directory.path);
    ours = await InProcessServer.start();
    const partner = await TestAuthority.create('partner.test');
    const pem = partner
      .bundle()
      .x509Authorities.map(({ certificate }) => encodePem('CERTIFICATE', certificate));
    await writeFile(directory.join('partner.pem'), pem.join(''));
  });
  afterAll(async () => {
    for (const agent of agents) await agent[Symbol.asyncDispose]();
    await ours[Symbol.asyncDispose]();
    await spire.program[Symbol.asyncDispose]();
    directory.remove();
  });

  function bySpire(line: string, input = ''): Promise<Outcome> {
    const args = [...line.split(' '), '-socketPath', directory.join('spire-server.sock')];
    return runProcess('spire-server', args, { env: SPIRE_ENVIRONMENT, input });
  }

  async function byUs(line: string, input = ''): Promise<Outcome> {
    const host = createRecordedHost({ input });
    const code = await runServerProgram([...line.split(' '), '-socketPath', ours.socketPath], host);
    return { code, stdout: host.printed.stdout };
  }

  async function same(line: string, input = ''): Promise<void> {
    const text = ({ code, stdout }: Outcome): string => `${line}: ${code ?? 'none'}\n${comparable(stdout)}`;
    expect.soft(text(await byUs(line, input))).toBe(text(await bySpire(line, input)));
  }

  it('entries', async () => {
    for (const line of [
      'entry count',
      'entry show',
      `entry create ${WEB} -entryID web -selector unix:uid:1000 -selector unix:gid:5 -x509SVIDTTL 60 -jwtSVIDTTL 70 -dns web.example.org -hint front`,
      `entry create ${WEB} -selector unix:uid:1000 -selector unix:gid:5`,
      `entry create ${WEB} -entryID web -selector unix:uid:1001`,
      'entry create -node -spiffeID spiffe://example.org/rack -entryID rack -selector x:y',
      'entry create -spiffeID spiffe://example.org/all -parentID spiffe://example.org/rack -entryID all -selector unix:uid:1 -admin -downstream -storeSVID -entryExpiry 1900000000',
      `entry create ${WEB} -entryID json -selector unix:uid:3 -output json`,
      `entry create ${WEB}`,
      'entry show',
      'entry show -output json',
      'entry show -entryID web',
      'entry show -entryID nothing',
      'entry show -downstream',
      'entry show -hint front',
      'entry show -selector unix:uid:1000 -selector unix:gid:5 -matchSelectorsOn exact',
      'entry show -spiffeID spiffe://example.org/none',
      'entry count',
      'entry count -output json',
      'entry count -selector unix:uid:1',
      `entry update ${WEB} -entryID web -selector unix:uid:1000 -hint back`,
      `entry update ${WEB} -entryID nothing -selector unix:uid:1000`,
      `entry update ${WEB} -entryID web -selector unix:uid:1000 -output json`,
      'entry delete -entryID json',
      'entry delete -entryID json',
      'entry delete -entryID rack -output json',
      'entry delete',
    ]) {
      await same(line);
    }
    await same('entry create -data -', JSON.stringify(ENTRIES));
    await same('entry create -data -', JSON.stringify(ENTRIES));
    await same('entry delete -file -', JSON.stringify({ ids: ['all', 'none'] }));
  });

  it('bundles', async () => {
    const pem = directory.join('partner.pem');
    for (const line of [
      'bundle count',
      'bundle show',
      'bundle list',
      `bundle set -id spiffe://partner.test -path ${pem}`,
      `bundle set -id spiffe://partner.test -path ${pem} -output json`,
      'bundle set',
      'bundle list',
      'bundle list -id spiffe://partner.test',
      'bundle list -id spiffe://nobody.test',
      'bundle list -output json',
      'bundle count',
      'bundle count -output json',
      'bundle delete -id spiffe://partner.test',
      'bundle delete -id spiffe://partner.test',
      'bundle delete',
    ]) {
      await same(line);
    }
  });

  it('federation', async () => {
    const flags = '-trustDomain partner.test -bundleEndpointURL https://127.0.0.1:1/b';
    for (const line of [
      'federation list',
      'federation list -output json',
      `federation create ${flags} -bundleEndpointProfile https_web`,
      `federation create ${flags} -bundleEndpointProfile https_web`,
      `federation create ${flags} -bundleEndpointProfile nothing`,
      'federation show -trustDomain partner.test',
      'federation show -trustDomain partner.test -output json',
      'federation show -trustDomain nobody.test',
      `federation update ${flags} -bundleEndpointProfile https_spiffe -endpointSpiffeID spiffe://partner.test/spire/server`,
      'federation list',
      'federation list -output json',
      'federation refresh -id nobody.test',
      'federation delete -id partner.test',
      'federation delete -id partner.test',
    ]) {
      await same(line);
    }
  });

  it('agents', async () => {
    for (const [name, port, command] of [
      ['theirs', spire.port, bySpire],
      ['ours', ours.port, byUs],
    ] as const) {
      const joinToken = /^Token: (\S+)/m.exec((await command('token generate')).stdout)?.[1] ?? '';
      const own = directory.join(name);
      await mkdir(own);
      await writeFile(join(own, 'bundle.pem'), (await command('bundle show')).stdout);
      agents.push(
        await launchSpireAgent({
          directory: own,
          serverPort: port,
          bundlePath: join(own, 'bundle.pem'),
          joinToken,
        }),
      );
    }
    const nobody = 'spiffe://example.org/spire/agent/join_token/nobody';
    for (const line of [
      'token generate',
      'token generate -ttl 60 -output json',
      'token generate -spiffeID spiffe://example.org/rack',
      'agent list',
      'agent list -output json',
      'agent list -attestationType join_token',
      'agent list -attestationType x509pop',
      'agent list -banned true',
      'agent list -selector a:b',
      'agent count',
      'agent count -output json',
      'agent count -canReattest true',
      `agent show -spiffeID ${nobody}`,
      'agent show',
      `agent ban -spiffeID ${nobody}`,
      `agent evict -spiffeID ${nobody}`,
      'agent purge',
      'agent purge -dryRun',
      'agent purge -output json',
    ]) {
      await same(line);
    }
  });

  it('authorities', async () => {
    for (const kind of ['x509', 'jwt']) {
      for (const line of [
        'show',
        'show -output json',
        'prepare',
        'show',
        'activate',
        'taint -authorityID 00',
        'revoke',
      ]) {
        await same(`localauthority ${kind} ${line}`);
      }
    }
    await same('upstreamauthority taint -subjectKeyID 00');
    await same('upstreamauthority revoke');
  });

  it('minting, health, debug, logger', async () => {
    for (const line of [
      'x509 mint -spiffeID spiffe://example.org/minted -dns a.example.org -ttl 1m',
      'x509 mint -spiffeID spiffe://example.org/minted -output json',
      'x509 mint',
      'jwt mint -spiffeID spiffe://example.org/minted -audience db',
      'jwt mint -spiffeID spiffe://example.org/minted -audience db -output json',
      'jwt mint -spiffeID spiffe://example.org/minted',
      'healthcheck -verbose',
      'healthcheck',
      'logger get',
      'logger get -output json',
      'logger set -level warn',
      'logger set -level nothing',
      'logger set',
      'logger reset',
    ]) {
      await same(line);
    }
  });

  it('wrong command lines leave the same code', async () => {
    for (const line of [
      'nothing',
      'entry',
      'entry nothing',
      'entry show -nothing x',
      'entry -h',
      'entry show -h',
    ]) {
      const theirs = await runProcess('spire-server', line.split(' '), { env: SPIRE_ENVIRONMENT });
      expect([line, await runServerProgram(line.split(' '), createRecordedHost())]).toEqual([
        line,
        theirs.code,
      ]);
    }
  });

  it('the tables name every flag that the help of the commands of SPIRE has', async () => {
    const { spire: rows } = readSpireTables();
    const programs = { 'bonafide-server': 'spire-server', 'bonafide-agent': 'spire-agent' } as const;
    for (const [own, theirs] of Object.entries(programs)) {
      const ofProgram = rows.filter(
        ({ command, program }) => program === own && !command.startsWith('every'),
      );
      for (const command of new Set(ofProgram.map((row) => row.command))) {
        const named = ofProgram.filter((row) => row.command === command).flatMap(({ flags }) => flags);
        const { stderr } = await runProcess(theirs, [...command.split(' '), '-h'], {
          env: SPIRE_ENVIRONMENT,
        });
        // `api fetch` prints the help of its subcommands first.
        const flags = [...(stderr.split('\nUsage of').at(-1) ?? '').matchAll(/^ {2}-(\S+)/gm)].map(
          ([, flag]) => flag,
        );
        expect([command, named.toSorted()]).toEqual([command, flags.toSorted()]);
      }
    }
  });
});

/** What is measured, made up or drawn by lot stands as a word in its place. */
function comparable(text: string): string {
  return text
    .trimEnd()
    .replace(/-----BEGIN ([A-Z ]+)-----[^-]+-----END \1-----/g, 'PEM $1')
    .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, 'UUID')
    .replace(/\b[0-9a-f]{40}\b/g, 'KEYID')
    .replace(/(Authority ID: |"authority_id":")[\w-]{32}(?![\w-])/g, '$1KEYID')
    .replace(/(Serial number +: |serial_number":")\d+/g, '$1NUMBER')
    .replace(/eyJ[\w-]+\.[\w-]+\.[\w-]+/g, 'JWT')
    .replace(/"(MII|MIG)[\w+/=]+"/g, '"DER"')
    .replace(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+0000 UTC/g, 'TIME')
    .replace(/((?:created_at|expires_at|issued_at)":")[1-9]\d+/g, '$1TIME')
    .replace(/^\w+: well since \S+\n/gm, ''); // `healthcheck -verbose` names the checks here too
}
