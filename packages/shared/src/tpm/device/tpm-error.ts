/** Response codes of a TPM (TPM 2.0 Part 2 section 6.6) as errors that say what to do. */
import { BonafideError, type Reason } from '../../errors/bonafide-error.js';

/** The cause of every error that is a TPM's own answer. */
class TpmResponseCode extends Error {
  override readonly name = 'TpmResponseCode';
  readonly code: number;

  constructor(code: number) {
    super(`TPM response code 0x${code.toString(16)}`);
    this.code = code;
  }
}

const RC = {
  initialize: 0x100,
  failure: 0x101,
  upgrade: 0x12d,
  commandCode: 0x143,
  /** Of format one: the error alone, without the number of what was wrong. */
  hierarchy: 0x085,
  authFail: 0x08e,
  keySize: 0x087,
  curve: 0x0a6,
  asymmetric: 0x081,
  integrity: 0x09f,
  policyFail: 0x09d,
  binding: 0x0a5,
  badAuth: 0x0a2,
  objectMemory: 0x902,
  sessionMemory: 0x903,
  yielded: 0x908,
  testing: 0x90a,
  lockout: 0x921,
  retry: 0x922,
  nvUnavailable: 0x923,
} as const;

const FORMAT_ONE = 0x080;

const MEANINGS: readonly (readonly [number, Reason, string])[] = [
  [
    RC.initialize,
    'failed_precondition',
    'it was not started: the firmware, or swtpm with --flags startup-clear, must do that',
  ],
  [
    RC.failure,
    'unavailable',
    'it is in failure mode: restart the machine; if that does not help, the TPM is broken',
  ],
  [RC.upgrade, 'unavailable', 'it is in the middle of a firmware update'],
  [RC.commandCode, 'unimplemented', 'it does not know this command'],
  [
    RC.hierarchy,
    'failed_precondition',
    'this hierarchy is disabled: enable it in the settings of the firmware',
  ],
  [RC.authFail, 'permission_denied', 'the password is wrong'],
  [RC.badAuth, 'permission_denied', 'the password is wrong'],
  [RC.integrity, 'permission_denied', 'what it was given was made for another TPM or for another key'],
  [RC.binding, 'permission_denied', 'what it was given was made for another TPM or for another key'],
  [RC.policyFail, 'failed_precondition', "the key's policy is not met"],
  [RC.keySize, 'unimplemented', 'it does not make keys of this kind'],
  [RC.curve, 'unimplemented', 'it does not make keys of this kind'],
  [RC.asymmetric, 'unimplemented', 'it does not make keys of this kind'],
  [
    RC.objectMemory,
    'resource_exhausted',
    'it has no room for another key: use /dev/tpmrm0, or flush what other programs left in it',
  ],
  [
    RC.sessionMemory,
    'resource_exhausted',
    'it has no room for another session: use /dev/tpmrm0, or flush what other programs left in it',
  ],
  [
    RC.lockout,
    'unavailable',
    'it is locked after too many wrong passwords: wait, or clear it with tpm2_dictionarylockout --clear-lockout',
  ],
  [RC.retry, 'unavailable', 'it is busy: try again'],
  [RC.yielded, 'unavailable', 'it is busy: try again'],
  [RC.testing, 'unavailable', 'it is testing itself: try again'],
  [RC.nvUnavailable, 'unavailable', 'its memory cannot be written now: try again'],
];

/** Worth sending once more, as it was. */
export function isPassing(code: number): boolean {
  return code === RC.retry || code === RC.yielded || code === RC.testing;
}

/** @param command its name in the standard, for example `TPM2_Quote`. */
export function tpmError(code: number, command: string): BonafideError {
  const bare = (code & FORMAT_ONE) === 0 ? code : code & 0x0bf;
  const [, reason, meaning] = MEANINGS.find(([known]) => known === bare) ?? [
    0,
    'failed_precondition' as const,
    undefined,
  ];
  const text = `${meaning ?? 'it refuses'} (response code 0x${code.toString(16)})`;
  return new BonafideError(reason, `the TPM refused ${command}: ${text}`, {
    cause: new TpmResponseCode(code),
  });
}
