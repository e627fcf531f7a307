import { launchSwtpm, swtpmIsInstalled } from '@bonafide/testing/launch-swtpm';
import { createRecordedHost } from '@bonafide/testing/recorded-host';
import { describe, expect, it } from 'vitest';
import { runAgentProgram } from '../program.js';

describe('tpm info', () => {
  it('says what to do when there is no TPM', async () => {
    const host = createRecordedHost();
    expect(await runAgentProgram(['tpm', 'info', '--device', '/dev/tpmrm9'], host)).toBe(1);
    expect(host.printed.stderr).toMatch(/no TPM at \/dev\/tpmrm9.*firmware/);
  });
});

describe.skipIf(!swtpmIsInstalled())('tpm info, with a software TPM (swtpm)', () => {
  it('tells what the machine would prove, for people and as JSON', { timeout: 180_000 }, async () => {
    await using swtpm = await launchSwtpm();
    const places = ['--device', swtpm.path, '--event-log', '/nowhere/log', '--ima-list', '/nowhere/ima'];
    const host = createRecordedHost();
    expect(await runAgentProgram(['tpm', 'info', ...places], host)).toBe(0);
    expect(host.printed.stdout).toMatch(/^EK hash: +[0-9a-f]{64}$/m);
    expect(host.printed.stdout).toMatch(/^EK certificate: +issued by .*CN=/m);
    expect(host.printed.stdout).toMatch(/^Boot log: +not known: .*\/nowhere\/log.*securityfs/m);
    expect(host.printed.stdout).toMatch(/^sha256 {2}0 {2}[0-9a-f]{64}$/m);

    const json = createRecordedHost();
    expect(await runAgentProgram(['tpm', 'info', ...places, '--output', 'json'], json)).toBe(0);
    const report = JSON.parse(json.printed.stdout) as Readonly<Record<string, unknown>>;
    expect(report).toMatchObject({ manufacturer: 'IBM', active_banks: ['sha1', 'sha256'] });
    expect(host.printed.stdout).toContain(String(report['ek_hash']));
    expect(report).toHaveProperty('secure_boot_problem');
    expect(report).not.toHaveProperty('secure_boot');
  });
});
