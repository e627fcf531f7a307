/** A virtual machine as Azure describes it: one that stands alone by the Resource Graph, one of a scale set by the scale set's list. */
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { z } from 'zod';
import type { ResourceManager } from './resource-graph.js';

export interface VirtualMachine {
  readonly name: string;
  readonly location: string;
  readonly resourceGroup: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly scaleSet: string | undefined;
  readonly interfaces: readonly NetworkInterface[];
}

interface NetworkInterface {
  readonly securityGroup: { readonly resourceGroup: string; readonly name: string } | undefined;
  readonly subnets: readonly { readonly network: string; readonly name: string }[];
}

interface MachineQuestion {
  readonly azure: ResourceManager;
  /** UUIDs, signed for by Azure. */
  readonly subscriptionId: string;
  readonly vmId: string;
}

const word = z.string().min(1).max(256);
const tags = z
  .record(z.string(), z.string().nullish())
  .nullish()
  .transform((all) =>
    Object.fromEntries(
      Object.entries(all ?? {}).flatMap(([key, value]) =>
        value === null || value === undefined ? [] : [[key, value]],
      ),
    ),
  );

const machineRow = z.object({
  id: z.string().regex(/^\/[\w./()-]{1,1024}$/),
  name: word,
  location: word,
  resourceGroup: word,
  vmId: z.string(),
  tags,
});

const interfaceRow = z.object({
  securityGroup: z.object({ resourceGroup: z.string(), name: z.string() }).nullish(),
  subnets: z.array(z.object({ vnet: z.string(), name: z.string() })).default([]),
});

/** @throws BonafideError `permission_denied` when there is no such machine, `unavailable` when Azure does not say. */
export async function findVirtualMachine({
  azure,
  subscriptionId,
  vmId,
}: MachineQuestion): Promise<VirtualMachine> {
  const machines = await azure.query(
    machineRow,
    `resources | where type =~ 'microsoft.compute/virtualmachines' | where properties.vmId =~ '${vmId}' | project id, name, location, tags, vmId = properties.vmId, resourceGroup`,
    subscriptionId,
  );
  const machine = onlyOne(machines, `virtual machine ${vmId}`);
  if (machine.vmId.toLowerCase() !== vmId.toLowerCase())
    throw new BonafideError('unavailable', `Azure answered with another virtual machine than ${vmId}`);
  const { name, location, resourceGroup } = machine;
  const interfaces = await findInterfaces(azure, machine.id, subscriptionId);
  return { name, location, resourceGroup, tags: machine.tags, scaleSet: undefined, interfaces };
}

/** The case of IDs differs between columns. */
async function findInterfaces(
  azure: ResourceManager,
  machineId: string,
  subscriptionId: string,
): Promise<readonly NetworkInterface[]> {
  const rows = await azure.query(
    interfaceRow,
    [
      `resources | where type =~ 'microsoft.network/networkinterfaces'`,
      `where tolower(properties.virtualMachine.id) == tolower('${machineId}')`,
      'mv-expand ip = properties.ipConfigurations',
      'extend subnetId = tostring(ip.properties.subnet.id), nsgId = tostring(properties.networkSecurityGroup.id)',
      `extend subnet = bag_pack('vnet', extract('virtualNetworks/([^/]+)', 1, subnetId), 'name', extract('subnets/([^/]+)$', 1, subnetId))`,
      `extend nsg = bag_pack('resourceGroup', extract('resourceGroups/([^/]+)', 1, nsgId), 'name', extract('networkSecurityGroups/([^/]+)', 1, nsgId))`,
      'summarize subnets = make_list(subnet) by id, nsgText = tostring(nsg)',
      'project subnets, securityGroup = todynamic(nsgText)',
    ].join(' | '),
    subscriptionId,
  );
  return rows.map(({ securityGroup, subnets }) => ({
    securityGroup:
      securityGroup === null ||
      securityGroup === undefined ||
      (securityGroup.name === '' && securityGroup.resourceGroup === '')
        ? undefined
        : securityGroup,
    subnets: subnets.map(({ vnet, name }) => ({ network: vnet, name })),
  }));
}

/** @param name as the agent says it: looked up, never believed. */
export async function findScaleSet(
  { azure, subscriptionId }: MachineQuestion,
  name: string,
): Promise<{ readonly name: string; readonly resourceGroup: string }> {
  if (!/^(?=.{1,64}$)[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?$/.test(name))
    throw invalidArgument(
      'the name of the scale set is not 1 to 64 letters, digits, dots, dashes and underscores',
    );
  const found = await azure.query(
    z.object({ name: word, resourceGroup: z.string().regex(/^[\w.()-]{1,90}$/) }),
    `resources | where type =~ 'microsoft.compute/virtualmachinescalesets' | where name == '${name}' | project name, resourceGroup`,
    subscriptionId,
  );
  const scaleSet = onlyOne(found, `scale set ${name}`);
  if (scaleSet.name !== name)
    throw new BonafideError('unavailable', `Azure answered with another scale set than ${name}`);
  return scaleSet;
}

function onlyOne<T>(found: readonly T[], what: string): T {
  const [only] = found;
  if (only === undefined)
    throw new BonafideError(
      'permission_denied',
      `there is no ${what} in the subscription that the server may see`,
    );
  if (found.length > 1) throw new BonafideError('unavailable', `Azure has more than one ${what}`);
  return only;
}
