/** Sessions that satisfy the policies of endorsement keys (TPM 2.0 Part 3 sections 11 and 23). */
import { algorithmOf, digestBytes, TPM_ALG, type TpmHash } from '../../algorithm.js';
import { TPM_HANDLE } from '../../hierarchy.js';
import type { TpmAuthorization, TpmTurn } from '../tpm.js';
import { TpmWriter } from '../../tpm-writer.js';

const CODE = { startAuthSession: 0x0176, policySecret: 0x0151, policyOr: 0x0171 } as const;
const POLICY_SESSION = 1;
const NOTHING = Buffer.alloc(0);

export async function startPolicySession(turn: TpmTurn, hash: TpmHash): Promise<number> {
  const { handle } = await turn.execute({
    name: 'TPM2_StartAuthSession',
    code: CODE.startAuthSession,
    handles: [TPM_HANDLE.null, TPM_HANDLE.null],
    // The nonce seeds what we do not use: session keys and parameter encryption.
    parameters: new TpmWriter()
      .sized(Buffer.alloc(digestBytes(hash)))
      .sized(NOTHING)
      .uint8(POLICY_SESSION)
      .uint16(TPM_ALG.null)
      .uint16(algorithmOf(hash))
      .build(),
    returnsHandle: true,
  });
  return handle;
}

export async function policySecret(
  turn: TpmTurn,
  session: number,
  entity: number,
  authorization: TpmAuthorization,
): Promise<void> {
  await turn.execute({
    name: 'TPM2_PolicySecret',
    code: CODE.policySecret,
    handles: [entity, session],
    authorizations: [authorization],
    parameters: new TpmWriter().sized(NOTHING).sized(NOTHING).sized(NOTHING).uint32(0).build(),
  });
}

export async function policyOr(turn: TpmTurn, session: number, digests: readonly Buffer[]): Promise<void> {
  const parameters = new TpmWriter().uint32(digests.length);
  for (const digest of digests) parameters.sized(digest);
  await turn.execute({
    name: 'TPM2_PolicyOR',
    code: CODE.policyOr,
    handles: [session],
    parameters: parameters.build(),
  });
}
