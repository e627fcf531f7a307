import { readFile, writeFile } from 'node:fs/promises';
import { swtpmIsInstalled } from '@bonafide/testing/launch-swtpm';
import { SoftwareNode } from '@bonafide/testing/software-node';
import { describe, expect, it } from 'vitest';
import { ekHashOf, lostAfterProofMs, TpmDomain, WEB } from './tpm-domain.js';

const LIMIT_MS = 400_000;

/** Recorded from real firmware, and replayed into the software TPM: what it then quotes is what those machines quoted. */
const bootLog = (machine: 'sb-on' | 'sb-off'): Promise<Buffer> =>
  readFile(
    new URL(`../../packages/shared/src/tpm/fixtures/${machine}/binary_bios_measurements`, import.meta.url),
  );

describe.skipIf(!swtpmIsInstalled())('Secure Boot, by a software TPM (swtpm) and recorded boot logs', () => {
  it(
    'entitles a node that proves it, and no longer one that was started without it',
    { timeout: LIMIT_MS },
    async () => {
      await using node = await SoftwareNode.launch();
      await node.boot(await bootLog('sb-on'));
      await using domain = await TpmDomain.start(node, { policy: { secure_boot: 'required' } });
      const agent = await domain.launchAgent(node);
      await domain.registerWeb('tpm:secure_boot:true');
      const held = await domain.stream(agent);
      expect(held.spiffeIds).toEqual([WEB]);

      // The same boot once more, told by its log.
      await node.boot(await bootLog('sb-on'));
      expect(await domain.agentCommand('prove', agent.spiffeId)).toMatch(/^Node state +: as it must be$/m);
      expect(await domain.agentCommand('show', agent.spiffeId)).toMatch(/^Fact +: Secure Boot: on$/m);

      // Its values, recorded, let this state in and no other.
      const golden = await domain.server.commandOutput(
        ...['tpm', 'baseline', '--ek-hash', await ekHashOf(node), '--name', 'web'],
      );
      expect(golden).toMatch(/^# Secure Boot: on$/m);
      const goldenPath = domain.directory.join('golden.yaml');
      await writeFile(goldenPath, golden);
      await domain.restartServer({ policy: { secure_boot: 'required', golden_path: goldenPath } });
      expect(await domain.agentCommand('prove', agent.spiffeId)).toMatch(/^Node state +: as it must be$/m);

      const again = await domain.stream(agent);
      await domain.boot(node, await bootLog('sb-off'));
      expect(await domain.agentCommand('prove', agent.spiffeId)).toMatch(
        /^Node state +: in quarantine since/m,
      );
      expect(await lostAfterProofMs(again, agent)).toBeLessThan(20_000);
      const found = await domain.agentCommand('show', agent.spiffeId);
      expect(found).toMatch(/^Finding +: secure_boot: .*required/m);
      expect(found).toMatch(/^Finding +: pcr: PCR 7 of the bank sha256/m);
      expect(found).toMatch(/^ +event +: event 0 of PCR 7 changed, was .*SecureBoot/m);
    },
  );

  it(
    'turns a machine away that has it off, also when it shows the log of one that has it on',
    { timeout: LIMIT_MS },
    async () => {
      await using node = await SoftwareNode.launch();
      await node.boot(await bootLog('sb-off'));
      await using domain = await TpmDomain.start(node, { policy: { secure_boot: 'required' } });
      await expect(domain.launchAgent(node, 'honest')).rejects.toThrow(/Secure Boot is required and is off/);
      node.eventLog = await bootLog('sb-on');
      await expect(domain.launchAgent(node, 'liar')).rejects.toThrow(/the boot log does not lead to PCR/);
      expect(await domain.server.commandOutput('agent', 'count')).toMatch(/^0 attested agents/);
    },
  );
});
