// A TPM in software, with a certificate by an authority of its own, as a manufacturer would give it.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { run } from './child.mjs';

const PROGRAMS = ['swtpm', 'swtpm_setup', 'swtpm_localca'];

/** Undefined when it can be started; otherwise what to do about it. */
export function whySoftwareTpmIsMissing() {
  const missing = PROGRAMS.filter((program) => spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0);
  if (missing.length === 0) return undefined;
  return `there is no ${missing.join(', ')} here; with it (Debian: apt-get install swtpm swtpm-tools) the node would use a software TPM`;
}

/** Manufactures it. Undefined when it worked; otherwise why not. */
export async function makeSoftwareTpm(directory) {
  const authority = join(directory, 'authority');
  const state = join(directory, 'state');
  for (const path of [directory, authority, state]) mkdirSync(path, { recursive: true, mode: 0o700 });
  const write = (name, lines) => {
    writeFileSync(join(directory, name), `${lines.join('\n')}\n`);
    return join(directory, name);
  };
  const localca = write('localca.conf', [
    `statedir = ${authority}`,
    `signingkey = ${join(authority, 'signkey.pem')}`,
    `issuercert = ${join(authority, 'issuercert.pem')}`,
    `certserial = ${join(authority, 'certserial')}`,
  ]);
  const options = write('localca.options', [
    '--platform-manufacturer Bonafide',
    '--platform-version 1',
    '--platform-model quickstart',
  ]);
  const config = write('setup.conf', [
    'create_certs_tool = swtpm_localca',
    `create_certs_tool_config = ${localca}`,
    `create_certs_tool_options = ${options}`,
  ]);
  const args = ['--tpm2', '--config', config, '--tpm-state', `dir://${state}`, '--create-ek-cert'];
  const made = await run('swtpm_setup', [...args, '--lock-nvram', '--pcr-banks', 'sha256'], {
    limitMs: 120_000,
  });
  return made.isOk ? undefined : `swtpm_setup ended with ${made.ending}: ${made.text.split('\n').at(-1)}`;
}

/** Runs it; `device` is what the agent opens, `roots` are the files with which the server knows its maker. */
export async function startSoftwareTpm(domain, directory) {
  const socket = join(directory, 'socket');
  const channel = (path) => `type=unixio,path=${path},mode=0600`;
  domain.start('swtpm', 'swtpm', [
    ...['socket', '--tpm2', '--tpmstate', `dir=${join(directory, 'state')}`],
    ...['--flags', 'not-need-init,startup-clear', '--server', channel(socket)],
    ...['--ctrl', channel(`${socket}.ctrl`)],
  ]);
  await domain.waitFor('the software TPM to listen', () => existsSync(socket));
  const authority = join(directory, 'authority');
  return {
    device: `unix:${socket}`,
    roots: ['issuercert.pem', 'swtpm-localca-rootca-cert.pem'].map((file) => join(authority, file)),
  };
}
