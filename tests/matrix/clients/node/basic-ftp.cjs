// Node's basic-ftp, in one session.
const fs = require("node:fs")
const { Client } = require("basic-ftp")

const say = (report) => process.stdout.write(JSON.stringify(report) + "\n")

async function step(action, what) {
    try {
        const names = await what()
        say({ action, names: Array.isArray(names) ? names : [] })
    } catch (error) {
        say({ action, failed: String(error.message || error) })
    }
}

async function everything() {
    const ftp = new Client(20000)
    const version = "TLSv" + process.env.FTPS_TLS
    await ftp.access({
        host: "localhost",
        port: Number(process.env.FTPS_PORT),
        user: process.env.FTPS_USER,
        password: process.env.FTPS_PASSWORD,
        secure: true,
        secureOptions: { ca: fs.readFileSync(process.env.FTPS_AUTHORITY), minVersion: version, maxVersion: version },
    })
    await step("list", async () => (await ftp.list("listed")).map((entry) => entry.name))
    await step("upload", () => ftp.uploadFrom("up", "up"))
    await step("upload-empty", async () => {
        // It ends an empty upload at times before TLS is ready; a few tries will do.
        for (let left = 9; ; left--) {
            try {
                return await ftp.uploadFrom("empty", "empty")
            } catch (error) {
                if (left === 0 || !/^(426|522) /.test(error.message)) throw error
            }
        }
    })
    await step("download", () => ftp.downloadTo("down", "down"))
    await step("resume-upload", async () => {
        const start = await ftp.size("part-up")
        await ftp.appendFrom(fs.createReadStream("part-up", { start }), "part-up")
    })
    await step("resume-download", () => ftp.downloadTo("part-down", "part-down", fs.statSync("part-down").size))
    await step("rename", () => ftp.rename("old", "new"))
    await step("delete", () => ftp.remove("gone"))
    await step("names", async () => {
        for (const name of fs.readdirSync("names")) {
            await ftp.uploadFrom("names/" + name, "names/" + name)
            await ftp.downloadTo("back-names/" + name, "names/" + name)
        }
    })
    await step("upload-200", async () => {
        for (const name of fs.readdirSync("many")) await ftp.uploadFrom("many/" + name, "many/" + name)
    })
    await step("download-200", async () => {
        for (const name of fs.readdirSync("many")) await ftp.downloadTo("back-many/" + name, "store/" + name)
    })
    ftp.close()
}

everything()
