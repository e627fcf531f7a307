/** One machine of a scale set (orchestration mode Uniform, which the Resource Graph does not list). */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { z } from 'zod';
import type { ResourceManager } from './resource-graph.js';
import { findScaleSet, type VirtualMachine } from './virtual-machine.js';

const API_VERSION = '2024-07-01';
const MOST_PAGES = 100;

const SUBNET = /\/virtualNetworks\/([^/]+)\/subnets\/([^/]+)$/;
const SECURITY_GROUP =
  /\/resourceGroups\/([^/]+)\/providers\/Microsoft\.Network\/networkSecurityGroups\/([^/]+)$/;

const reference = z.object({ id: z.string().max(1024).optional() }).nullish();
const interfaceSchema = z.object({
  properties: z
    .object({
      networkSecurityGroup: reference,
      ipConfigurations: z
        .array(z.object({ properties: z.object({ subnet: reference }).nullish() }))
        .nullish(),
    })
    .nullish(),
});
const machineSchema = z.object({
  name: z.string().min(1).max(256),
  location: z.string().min(1).max(256),
  tags: z.record(z.string(), z.string()).nullish(),
  properties: z
    .object({
      vmId: z.string().nullish(),
      networkProfileConfiguration: z
        .object({ networkInterfaceConfigurations: z.array(interfaceSchema).nullish() })
        .nullish(),
    })
    .nullish(),
});
const pageSchema = z.object({ value: z.array(machineSchema), nextLink: z.string().min(1).nullish() });

interface ScaleSetQuestion {
  readonly azure: ResourceManager;
  readonly subscriptionId: string;
  readonly vmId: string;
  /** As the agent says it. */
  readonly scaleSetName: string;
}

/** @throws BonafideError `permission_denied` when the machine is not in that scale set, `unavailable` when Azure does not say. */
export async function findScaleSetMachine(question: ScaleSetQuestion): Promise<VirtualMachine> {
  const { azure, subscriptionId, vmId, scaleSetName } = question;
  const { name, resourceGroup } = await findScaleSet(question, scaleSetName);
  const list = `/subscriptions/${subscriptionId}/resourceGroups/${resourceGroup}/providers/Microsoft.Compute/virtualMachineScaleSets/${name}/virtualMachines?api-version=${API_VERSION}`;
  let next: string | undefined = list;
  for (let page = 0; next !== undefined && page < MOST_PAGES; page += 1) {
    const { value, nextLink }: z.output<typeof pageSchema> = await azure.get(pageSchema, next);
    const machine = value.find(({ properties }) => properties?.vmId?.toLowerCase() === vmId.toLowerCase());
    if (machine !== undefined) return machineOf(machine, name, resourceGroup);
    next = nextLink ?? undefined;
  }
  throw new BonafideError('permission_denied', `the scale set ${name} has no virtual machine ${vmId}`);
}

function machineOf(
  { name, location, tags, properties }: z.output<typeof machineSchema>,
  scaleSet: string,
  resourceGroup: string,
): VirtualMachine {
  const configurations = properties?.networkProfileConfiguration?.networkInterfaceConfigurations ?? [];
  const interfaces = configurations.map(({ properties: configured }) => {
    const [, groupOfGroup, groupName] = SECURITY_GROUP.exec(configured?.networkSecurityGroup?.id ?? '') ?? [];
    return {
      securityGroup:
        groupOfGroup === undefined || groupName === undefined
          ? undefined
          : { resourceGroup: groupOfGroup, name: groupName },
      subnets: (configured?.ipConfigurations ?? []).flatMap(({ properties: ip }) => {
        const [, network, subnet] = SUBNET.exec(ip?.subnet?.id ?? '') ?? [];
        return network === undefined || subnet === undefined ? [] : [{ network, name: subnet }];
      }),
    };
  });
  return { name, location, resourceGroup, tags: tags ?? {}, scaleSet, interfaces };
}
