import { mkdir, open, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { systemCode } from "../../base/error.ts";

/** What is kept of a group besides its events. */
export interface GroupSettings {
	group: string;
	createdMs: number;
	retentionDays: number | undefined;
	tags: Record<string, string>;
	/** When streams were made that nobody had written to, by name. */
	streams: Record<string, number>;
	/** Deleted streams: their events up to this sequence are not read. */
	deleted: Record<string, number>;
}

const fileName = "group.json";

export function emptySettings(group: string, createdMs: number): GroupSettings {
	return copySettings({ group, createdMs, retentionDays: undefined, tags: {}, streams: {}, deleted: {} });
}

/** Its records have no prototype: a name such as "__proto__" is only a name. */
export function copySettings(settings: GroupSettings): GroupSettings {
	const record = <T>(of: Record<string, T>) => Object.assign(Object.create(null) as Record<string, T>, of);
	const { tags, streams, deleted } = settings;
	return { ...settings, tags: record(tags), streams: record(streams), deleted: record(deleted) };
}

/** Undefined in a folder without them: of an earlier release, or of a group that only its lines have made. */
export async function readSettings(folder: string): Promise<GroupSettings | undefined> {
	let text: string;
	try {
		text = await readFile(join(folder, fileName), "utf8");
	} catch (error) {
		if (systemCode(error) === "ENOENT") return undefined;
		throw error;
	}
	const stored = JSON.parse(text) as GroupSettings;
	return copySettings({ ...emptySettings(stored.group, stored.createdMs), ...stored });
}

/** On the disk when it resolves; whole or not at all. */
export async function writeSettings(folder: string, settings: GroupSettings): Promise<void> {
	await mkdir(folder, { recursive: true });
	const temporary = join(folder, `${fileName}.new`);
	{
		await using file = await open(temporary, "w");
		await file.writeFile(JSON.stringify(settings));
		await file.sync();
	}
	await rename(temporary, join(folder, fileName));
	await using directory = await open(folder, "r");
	await directory.sync();
}
