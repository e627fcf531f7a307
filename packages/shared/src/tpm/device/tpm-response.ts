/** The frame of a TPM's response (TPM 2.0 Part 1 section 18.4): what succeeded is handles and parameters, what failed is a code. */
import { TpmReader } from '../tpm-reader.js';

export const RESPONSE_HEADER_BYTES = 10;
/** As much as the kernel and swtpm hold. */
export const LARGEST_RESPONSE_BYTES = 4096;

const WITH_SESSIONS = 0x8002;
const WITHOUT_SESSIONS = 0x8001;
/** The one tag that is not of 2.0: a TPM answers so to what it cannot read at all. */
const TAG_OF_1_2 = 0x00c4;

export type TpmResponse =
  | { readonly code: 0; readonly handle: number | undefined; readonly parameters: TpmReader }
  | { readonly code: number; readonly handle?: undefined; readonly parameters?: undefined };

/** @throws BonafideError `invalid_argument` when it is not the response to such a command. */
export function parseTpmResponse(
  raw: Buffer,
  command: { readonly name: string; readonly hasSessions: boolean; readonly returnsHandle: boolean },
): TpmResponse {
  const reader = new TpmReader(raw, `response to ${command.name}`);
  const tag = reader.readUint16('tag');
  if (reader.readUint32('size') !== raw.length) throw reader.malformed('size', `is not ${raw.length}`);
  const code = reader.readUint32('code');
  if (code !== 0) {
    if (tag !== WITHOUT_SESSIONS && tag !== TAG_OF_1_2) throw reader.malformed('tag', 'is not known');
    reader.expectEnd();
    return { code };
  }
  if (tag !== (command.hasSessions ? WITH_SESSIONS : WITHOUT_SESSIONS))
    throw reader.malformed('tag', 'is not that of the command');
  const handle = command.returnsHandle ? reader.readUint32('handle') : undefined;
  if (!command.hasSessions) return { code: 0, handle, parameters: reader };
  const parameters = reader.readBytes(reader.readUint32('size of parameters'), 'parameters');
  // After them come the acknowledgements of sessions, which for passwords and plain policies say nothing.
  return { code: 0, handle, parameters: new TpmReader(parameters, `response to ${command.name}`) };
}
