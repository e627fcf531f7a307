import { swtpmIsInstalled } from '@bonafide/testing/launch-swtpm';
import { runCommand } from '@bonafide/testing/run-command';
import { SoftwareNode } from '@bonafide/testing/software-node';
import { waitFor } from '@bonafide/testing/wait-for';
import { describe, expect, it } from 'vitest';
import { agentIdOf, ekHashOf, lostAfterProofMs, streamStatus, TpmDomain, WEB } from './tpm-domain.js';

const LIMIT_MS = 400_000;
/** From the quote that shows it to the end of the workload's stream. */
const MOST_MS = 20_000;
/** A software TPM has no firmware that would have written a boot log. */
const POLICY = { policy: { event_log: 'optional' } };
const AS_AT_RESET = '0'.repeat(64);

const resetsIn = (shown: string): number => Number(/^Fact +: Resets: (\d+)$/m.exec(shown)?.[1]);

describe.skipIf(!swtpmIsInstalled())('a node with a software TPM (swtpm), real processes', () => {
  it(
    'attests from nothing but its EK, loses everything when a PCR changes, and gets it back',
    { timeout: LIMIT_MS },
    async () => {
      await using node = await SoftwareNode.launch();
      await using domain = await TpmDomain.start(node, POLICY);
      const agent = await domain.launchAgent(node);
      const id = agent.spiffeId;
      await domain.registerWeb(`tpm:ek_hash:${await ekHashOf(node)}`, 'tpm:manufacturer:00001014');
      const held = await domain.stream(agent);
      expect(held.spiffeIds).toEqual([WEB]);

      const shown = await domain.agentCommand('show', id);
      expect(shown).toMatch(/^Node state +: as it must be$/m);
      expect(shown).toMatch(/^Last proven +: \d{4}-/m);
      expect(shown).toMatch(/^Fact +: EK certificate: verified$/m);
      expect(shown).toMatch(/^Fact +: Secure Boot: unproven$/m);

      const { pid } = agent.process;
      await node.extend('sha256', 4, 0xaa);
      expect(await domain.agentCommand('prove', id)).toMatch(/^Node state +: in quarantine since/m);
      const lostMs = await lostAfterProofMs(held, agent);
      process.stdout.write(`from the quote to the end of the workload's stream: ${lostMs} ms\n`);
      expect(lostMs).toBeLessThan(MOST_MS);

      const found = await domain.agentCommand('show', id);
      expect(found).toMatch(/^Finding +: pcr: PCR 4 of the bank sha256/m);
      expect(found).toMatch(new RegExp(`^ +before +: ${AS_AT_RESET}$`, 'm'));
      expect(found).toMatch(/^ +after +: (?!0{64})[0-9a-f]{64}$/m);
      expect(agent.process.pid).toBe(pid);

      // Neither the server's restart nor the agent's forgets it.
      await domain.server.restart();
      expect(await domain.agentCommand('show', id)).toMatch(/^Node state +: in quarantine since/m);
      await agent.restart();
      const stranger = await domain.connect(agent);
      expect(await streamStatus(stranger)).toMatchObject({ message: 'no identity issued' });
      expect(await domain.agentCommand('show', id)).toMatch(/^Finding +: pcr: PCR 4 of the bank sha256/m);

      const { pid: restarted } = agent.process;
      expect(await domain.agentCommand('release', id)).toMatch(/^Node state +: as it must be$/m);
      expect((await domain.stream(agent)).spiffeIds).toEqual([WEB]);
      expect(agent.process.pid).toBe(restarted);
      // What was released is the baseline now, also of a server that is started anew.
      await domain.server.restart();
      expect(await domain.agentCommand('prove', id)).toMatch(/^Node state +: as it must be$/m);
      expect(await domain.server.commandOutput('agent', 'count')).toMatch(/^1 attested agent/);
    },
  );

  it(
    'is proven on schedule: a reboot by itself, a change to its loss, without anybody asking',
    { timeout: LIMIT_MS },
    async () => {
      await using node = await SoftwareNode.launch();
      await using domain = await TpmDomain.start(node, { ...POLICY, proof: { interval: '1s' } });
      const agent = await domain.launchAgent(node);
      await domain.registerWeb(`tpm:ek_hash:${await ekHashOf(node)}`);
      const held = await domain.stream(agent);
      const before = resetsIn(await domain.agentCommand('show', agent.spiffeId));

      await node.swtpm.restart();
      const rebooted = await waitFor(
        'the proof of the new boot',
        async () => {
          const shown = await domain.agentCommand('show', agent.spiffeId);
          return resetsIn(shown) > before ? shown : undefined;
        },
        { limitMs: 120_000, explain: () => agent.process.output.slice(-4_000) },
      );
      expect(rebooted).toMatch(/^Node state +: as it must be$/m);
      expect(held.workload.messages(held.call).length).toBeGreaterThan(0);

      await node.extend('sha256', 7, 0xbb);
      const lostMs = await lostAfterProofMs(held, agent);
      process.stdout.write(`from the scheduled quote to the end of the stream: ${lostMs} ms\n`);
      expect(lostMs).toBeLessThan(MOST_MS);
      expect(await domain.agentCommand('show', agent.spiffeId)).toMatch(/^Finding +: pcr: PCR 7/m);
      await agent.stop();
    },
  );

  it('is let in by its enrollment alone, and put out by the end of it', { timeout: LIMIT_MS }, async () => {
    await using node = await SoftwareNode.launch();
    await using domain = await TpmDomain.start(node, { ...POLICY, ek_enrollment: true });
    await expect(domain.launchAgent(node)).rejects.toThrow(/not on the allow-list/);

    const places = ['--device', node.swtpm.path, '--output', 'json'];
    const { stdout } = await runCommand('agent', ['tpm', 'info', ...places]);
    const ek = String((JSON.parse(stdout) as Readonly<Record<string, unknown>>)['ek_hash']);
    await domain.server.commandOutput('tpm', 'enroll', '--ek-hash', ek, '--note', 'rack 7');
    expect(await domain.server.commandOutput('tpm', 'list')).toContain(ek);
    const agent = await domain.launchAgent(node);
    await domain.registerWeb(`tpm:ek_hash:${ek}`);
    const held = await domain.stream(agent);
    await domain.server.commandOutput('tpm', 'remove', '--ek-hash', ek);
    await held.workload.disconnected();
    await waitFor('the agent to end', () => !agent.process.isRunning, { limitMs: 150_000 });
    expect(agent.process.output).toContain('banned');
  });

  it(
    'keeps its identity when its agent restarts, and gives it to no other TPM with the same agent data',
    { timeout: LIMIT_MS },
    async () => {
      await using node = await SoftwareNode.launch();
      await using domain = await TpmDomain.start(node, POLICY);
      await using other = await SoftwareNode.launch({ authorityDirectory: node.swtpm.authorityDirectory });
      const agent = await domain.launchAgent(node);
      await domain.registerWeb(`tpm:ek_hash:${await ekHashOf(node)}`);
      await domain.stream(agent);
      await agent.restart();
      expect((await domain.stream(agent)).spiffeIds).toEqual([WEB]);
      expect(await domain.server.commandOutput('agent', 'count')).toMatch(/^1 attested agent/);
      await agent.stop();

      const impostor = await domain.launchAgent(other);
      const asked = await domain.server.command(
        'agent',
        'prove',
        '--spiffe-id',
        agent.spiffeId,
        '--wait',
        '5s',
      );
      expect(asked.code).not.toBe(0);
      expect(impostor.process.output).toMatch(/cannot prove this node: TPM signature: does not verify/);
      // Evicted, it attests as who it is.
      await domain.agentCommand('evict', agent.spiffeId);
      await waitFor(
        'the other TPM to be another node',
        async () => (await domain.server.commandOutput('agent', 'list')).includes(await agentIdOf(other)),
        { limitMs: 120_000, explain: () => impostor.process.output.slice(-4_000) },
      );
      expect(await streamStatus(await domain.connect(impostor))).toMatchObject({ code: 7 });
    },
  );
});
