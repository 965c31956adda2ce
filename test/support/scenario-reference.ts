/** The reference section of docs/man/omni-scenario.5.md, made from the schema so that the two cannot differ. */
interface Schema {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly examples?: readonly unknown[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly default?: unknown;
  readonly anyOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: Schema | boolean;
  readonly items?: Schema | boolean;
  readonly prefixItems?: readonly Schema[];
}

interface Section {
  readonly path: string;
  readonly schema: Schema;
}

/** Markdown: a table of keys for every object of the schema, outermost first; equal objects once. */
export function scenarioReference(root: unknown): string {
  const pending: Section[] = [{ path: '', schema: root as Schema }];
  const seen = new Map<string, string>();
  const parts: string[] = [];
  for (let section = pending.shift(); section !== undefined; section = pending.shift()) {
    const { path, schema } = section;
    const same = JSON.stringify(schema.properties);
    const title = path === '' ? 'The file' : `\`${path}\``;
    const other = seen.get(same);
    if (other !== undefined) {
      parts.push(`### ${title}\n\nThe same keys as \`${other}\`.`);
      continue;
    }
    seen.set(same, path);
    const rows = Object.entries(schema.properties!).map(([key, value]) => {
      const required = schema.required?.includes(key) === true && value.default === undefined ? ', required' : '';
      const fallback = value.default === undefined ? '' : ` Default \`${JSON.stringify(value.default)}\`.`;
      pending.push(...sections(value, path === '' ? key : `${path}.${key}`));
      return `| \`${key}\` | ${inCell(shape(value))}${required} | ${inCell(describe(value))}${inCell(fallback)} |`;
    });
    parts.push(`### ${title}\n\n| key | value | meaning |\n|---|---|---|\n${rows.join('\n')}`);
  }
  return parts.join('\n\n');
}

/** Objects inside a key's value, through lists, names and alternatives. */
function sections(schema: Schema, path: string): Section[] {
  if (schema.properties !== undefined) return [{ path, schema }];
  if (typeof schema.additionalProperties === 'object') return sections(schema.additionalProperties, `${path}.NAME`);
  if (typeof schema.items === 'object') return sections(schema.items, `${path}[]`);
  return (schema.anyOf ?? []).flatMap((alternative) => sections(alternative, path));
}

function describe(schema: Schema): string {
  if (schema.description !== undefined) return schema.description.replace(/([^.])$/, '$1.');
  return schema.properties === undefined ? ((schema.anyOf ?? []).map(describe).find((d) => d !== '') ?? '') : '';
}

/** What may stand there, in a few words. */
function shape(schema: Schema): string {
  if (schema.examples !== undefined && schema.anyOf === undefined)
    return schema.examples.map((e) => `\`${e}\``).join(', ');
  if (schema.enum !== undefined) return schema.enum.map((e) => `\`${e}\``).join(', ');
  if (schema.const !== undefined) return `\`${schema.const}\``;
  if (schema.anyOf !== undefined) return [...new Set(schema.anyOf.map(shape))].join(' or ');
  if (schema.prefixItems !== undefined) return `[${schema.prefixItems.map(shape).join(', ')}]`;
  if (schema.properties !== undefined)
    return `{ ${Object.keys(schema.properties).slice(0, 4).join(', ')}${Object.keys(schema.properties).length > 4 ? ', …' : ''} }`;
  if (typeof schema.items === 'object') return `list of ${shape(schema.items)}`;
  if (schema.type === 'object') return 'names';
  return (
    { integer: 'whole number', string: 'text', boolean: 'true or false' }[String(schema.type)] ?? String(schema.type)
  );
}

const inCell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
