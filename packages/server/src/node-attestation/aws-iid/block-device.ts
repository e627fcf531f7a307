/** Whether an instance still has the root volume with which it started: a volume that was moved brings the files of another machine. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { Ec2Instance } from './ec2-instance.js';

/** Both are attached when the instance is made. */
const LONGEST_APART_SECONDS = 60;

/** @throws BonafideError `permission_denied` when the root volume and the first network interface were not attached together. */
export function checkBlockDevice(instance: Ec2Instance): void {
  const first = instance.networkInterfaceSet.find(({ attachment }) => attachment?.deviceIndex === '0');
  if (first?.attachment === undefined)
    throw refused('the instance has no network interface with device index 0');
  if (instance.rootDeviceType === 'instance-store') return; // such a volume cannot be moved
  const { rootDeviceName } = instance;
  const root = instance.blockDeviceMapping.find(({ deviceName }) => deviceName === rootDeviceName);
  if (rootDeviceName === undefined || root?.ebs === undefined)
    throw refused(`the instance has no root volume ${rootDeviceName ?? ''}`);
  const seconds = Math.floor(
    Math.abs(first.attachment.attachTime.getTime() - root.ebs.attachTime.getTime()) / 1000,
  );
  if (seconds > LONGEST_APART_SECONDS) {
    throw refused(
      `the root volume and the first network interface were attached ${seconds} seconds apart; accepted are ${LONGEST_APART_SECONDS}, unless skip_block_device is set`,
    );
  }
}

function refused(problem: string): BonafideError {
  return new BonafideError('permission_denied', `failed aws ec2 attestation: ${problem}`);
}
