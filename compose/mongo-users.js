// Runs once, on an empty volume, by the image's own set-up: one user that keeps the tasks, and one
// that can only read what the reports are made of.
const admin = db.getSiblingDB("admin");
admin.createRole({
  role: "exportsTasks",
  privileges: [
    {
      resource: { db: "exports", collection: "ExportTasks" },
      actions: ["find", "insert", "update", "createIndex"],
    },
  ],
  roles: [],
});
admin.createUser({
  user: "exports",
  pwd: process.env.TASKS_PASSWORD,
  roles: [{ role: "exportsTasks", db: "admin" }],
});
admin.createUser({
  user: "exports-reader",
  pwd: process.env.READER_PASSWORD,
  roles: [{ role: "read", db: process.env.SOURCE_DATABASE }],
});
