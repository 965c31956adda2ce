/**
 * Names that must exist or be unique: checked on the file as read, so that these problems appear beside all others even
 * when something else in the file is wrong.
 */
import { didYouMean, type Problem } from './problems.ts';

type Loose = Record<string, unknown>;
const isRecord = (value: unknown): value is Loose =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const entries = (value: unknown): [string, Loose][] =>
  isRecord(value) ? Object.entries(value).filter((e): e is [string, Loose] => isRecord(e[1])) : [];

export function checkReferences(input: unknown): Problem[] {
  if (!isRecord(input)) return [];
  const problems: Problem[] = [];
  const nodes = Object.keys(isRecord(input.nodes) ? input.nodes : {});
  const links = entries(input.links);
  const networks = entries(input.networks);
  if (nodes.length === 0 && isRecord(input.nodes))
    problems.push({ path: ['nodes'], message: 'a scenario needs at least one node' });
  const known = (name: unknown, path: Problem['path']) => {
    if (typeof name === 'string' && !nodes.includes(name))
      problems.push({ path, message: `there is no node '${name}'${didYouMean(name, nodes)}` });
  };
  for (const [name, link] of links) {
    if (!Array.isArray(link.between)) continue;
    for (const [i, node] of link.between.entries()) known(node, ['links', name, 'between', i]);
    if (link.between.length === 2 && link.between[0] === link.between[1])
      problems.push({ path: ['links', name, 'between'], message: 'a link joins two different nodes' });
  }
  for (const [name, network] of networks) {
    if (nodes.includes(name))
      problems.push({
        path: ['networks', name],
        atKey: true,
        message: `'${name}' is a node as well; give the network another name`,
      });
    if (name === 'lo' || name === 'space0')
      problems.push({
        path: ['networks', name],
        atKey: true,
        message: `'${name}' is an interface of every node; give the network another name`,
      });
    if (Array.isArray(network.nodes))
      for (const [i, node] of network.nodes.entries()) {
        known(node, ['networks', name, 'nodes', i]);
        if (network.nodes.indexOf(node) !== i)
          problems.push({ path: ['networks', name, 'nodes', i], message: `'${node}' is on this network already` });
      }
    if (isRecord(network.addresses))
      for (const node of Object.keys(network.addresses))
        if (Array.isArray(network.nodes) && !network.nodes.includes(node))
          problems.push({
            path: ['networks', name, 'addresses', node],
            atKey: true,
            message: `'${node}' is not on this network`,
          });
  }
  const linkNames = links.map(([name]) => name);
  for (const [name, node] of entries(input.nodes))
    if (Array.isArray(node.routes))
      for (const [i, route] of node.routes.entries()) {
        if (!isRecord(route)) continue;
        const { to, via } = route;
        if (typeof to === 'string' && to !== 'default' && !to.includes('/') && !nodes.includes(to))
          problems.push({
            path: ['nodes', name, 'routes', i, 'to'],
            message: `'${to}' is neither a node, a prefix nor 'default'${didYouMean(to, nodes)}`,
          });
        if (typeof via === 'string' && !nodes.includes(via) && !linkNames.includes(via))
          problems.push({
            path: ['nodes', name, 'routes', i, 'via'],
            message: `'${via}' is neither a link nor a node${didYouMean(via, [...nodes, ...linkNames])}`,
          });
      }
  return problems;
}
