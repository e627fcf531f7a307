/** Whether Secure Boot, what vouched for the boot loader and what shim trusts are as policy wants them, and as they were. */
import { digestBytes, SECURE_BOOT_PCR } from '@bonafide/shared/tpm/algorithm';
import type { NodeFinding } from '../../store/node-record.js';
import { valueIn } from './judge-pcrs.js';
import type { TpmPolicyConfig } from './tpm-config.js';
import type { BootLogVerdict, NodeState } from './tpm-record.js';

type SecureBootPolicy = Pick<TpmPolicyConfig, 'secure_boot' | 'db_authorities' | 'pcr14' | 'banks'>;

const SHIM_PCR = 14;

export function judgeSecureBootPolicy(
  state: NodeState,
  expected: NodeState | undefined,
  { policy, allowedPcrs }: { readonly policy: SecureBootPolicy; readonly allowedPcrs: ReadonlySet<number> },
): readonly NodeFinding[] {
  const now = secureBootWord(state.bootLog);
  const before = expected === undefined ? undefined : secureBootWord(expected.bootLog);
  const findings: NodeFinding[] = [];
  if (policy.secure_boot === 'required' && now !== 'on') {
    const text = `Secure Boot is required and ${now === 'off' ? 'is off' : 'cannot be proven'}${problemOf(state.bootLog)}`;
    findings.push({ kind: 'secure_boot', text, before, after: now });
  } else if (before !== undefined && before !== now && !allowedPcrs.has(SECURE_BOOT_PCR)) {
    const text = `Secure Boot was ${before} and is ${now}${problemOf(state.bootLog)}`;
    findings.push({ kind: 'secure_boot', text, before, after: now });
  }
  return [...findings, ...judgeAuthorities(state.bootLog, policy), ...judgeShim(state, policy)];
}

function judgeAuthorities(
  bootLog: BootLogVerdict,
  { db_authorities: allowed }: SecureBootPolicy,
): readonly NodeFinding[] {
  if (allowed === undefined) return [];
  const state = bootLog.kind === 'replayed' ? bootLog.secureBoot : undefined;
  if (state === undefined) {
    const text = `what vouched for the boot loader cannot be proven${problemOf(bootLog)}`;
    return [{ kind: 'secure_boot', text }];
  }
  return state.dbAuthorities
    .filter((authority) => !allowed.includes(authority))
    .map((authority) => ({
      kind: 'secure_boot',
      text: 'an entry of db that is not in policy.db_authorities vouched for what was booted',
      after: authority,
    }));
}

/** What shim trusts beside db is whatever its owner enrolled: only the whole of PCR 14 says something. */
function judgeShim({ pcrs }: NodeState, { pcr14: allowed, banks }: SecureBootPolicy): readonly NodeFinding[] {
  if (allowed === undefined) return [];
  return banks.flatMap((bank): readonly NodeFinding[] => {
    const ofBank = allowed.filter((digest) => digest.length === digestBytes(bank) * 2);
    const after = valueIn(pcrs, bank, SHIM_PCR);
    if (ofBank.length === 0 || (after !== undefined && ofBank.includes(after))) return [];
    const text = `PCR ${SHIM_PCR} of the bank ${bank} is not among policy.pcr14`;
    return [{ kind: 'pcr', text, bank, pcr: SHIM_PCR, before: ofBank[0], after }];
  });
}

export type SecureBootWord = 'on' | 'off' | 'unproven';

export function secureBootWord(bootLog: BootLogVerdict): SecureBootWord {
  if (bootLog.kind !== 'replayed' || bootLog.secureBoot === undefined) return 'unproven';
  return bootLog.secureBoot.isEnabled ? 'on' : 'off';
}

function problemOf(bootLog: BootLogVerdict): string {
  switch (bootLog.kind) {
    case 'none':
      return ': the machine has no boot log';
    case 'refused':
      return `: ${bootLog.problem}`;
    case 'replayed':
      return bootLog.secureBootProblem === undefined ? '' : `: ${bootLog.secureBootProblem}`;
  }
}
