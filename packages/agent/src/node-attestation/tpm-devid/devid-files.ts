/** What provisioning left on the disk of a node: the DevID's certificates, and its key as the TPM wrapped it. */
import { decodePem } from '@bonafide/shared/crypto/pem';
import { parseDeviceCertificate } from '@bonafide/shared/crypto/x509-certificate';
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { WrappedKey } from '@bonafide/shared/tpm/device/commands/objects';
import { checkDevIdScheme } from '@bonafide/shared/tpm/proof/devid-signature';
import { parseTpmPublic, publicKeyOf, type TpmPublic } from '@bonafide/shared/tpm/tpm-public';
import { loadFile } from '../load-file.js';

interface DevIdPaths {
  readonly devid_cert_path: string;
  readonly devid_priv_path: string;
  readonly devid_pub_path: string;
}

export interface DevIdFiles {
  /** DER, the DevID's own first. */
  readonly certificates: readonly Buffer[];
  readonly key: WrappedKey;
  readonly public: TpmPublic;
}

const LARGEST_FILE_BYTES = 1024 * 1024;

/** @throws BonafideError `failed_precondition` naming the file that is of no use. */
export async function readDevIdFiles(paths: DevIdPaths): Promise<DevIdFiles> {
  const certificates = await load(paths.devid_cert_path, (bytes) => {
    const found = decodePem('CERTIFICATE', bytes.toString('utf8'));
    found.forEach(parseAny);
    return found;
  });
  const privateBlob = await load(paths.devid_priv_path, withoutSize);
  const { publicBlob, key } = await load(paths.devid_pub_path, (bytes) => {
    const area = parseTpmPublic(withoutSize(bytes));
    if (!area.attributes.has('sign')) throw invalidArgument('the key does not sign');
    checkDevIdScheme(area);
    return { publicBlob: area.raw, key: area };
  });
  const [own = Buffer.alloc(0)] = certificates;
  if (!parseDeviceCertificate(own).publicKey.equals(publicKeyOf(key))) {
    throw new BonafideError(
      'failed_precondition',
      `the key in ${paths.devid_pub_path} is not that of the first certificate in ${paths.devid_cert_path}`,
    );
  }
  return { certificates, key: { privateBlob, publicBlob }, public: key };
}

function parseAny(der: Buffer): void {
  parseDeviceCertificate(der);
}

/** tpm2-tools write a TPM2B, SPIRE's tool what is in it; neither structure can begin with its own size. */
function withoutSize(blob: Buffer): Buffer {
  if (blob.length < 2) throw invalidArgument('it is empty');
  return blob.readUInt16BE(0) === blob.length - 2 ? blob.subarray(2) : blob;
}

function load<T>(path: string, parse: (bytes: Buffer) => T): Promise<T> {
  return loadFile(path, parse, LARGEST_FILE_BYTES);
}
