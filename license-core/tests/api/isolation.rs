//! Tenants on PostgreSQL: as the application's role, by raw SQL, nothing of another tenant is seen or touched.

use crate::cluster::run;
use crate::harness::{World, user};
use license_core::settings::{Database, Listen, Secret};
use license_core::{OpenError, Service, StartError};
use sqlx::{AssertSqlSafe, PgConnection, Row as _};

const APP: &str = "license_test_app";
const TENANT_TABLES: [(&str, &str); 16] = [
    ("tenant", "id"),
    ("subject", "tenant_id"),
    ("license", "tenant_id"),
    ("session", "tenant_id"),
    ("audit_event", "tenant_id"),
    ("product", "tenant_id"),
    ("entitlement", "tenant_id"),
    ("denial", "tenant_id"),
    ("idempotency", "tenant_id"),
    ("policy", "tenant_id"),
    ("waiting", "tenant_id"),
    ("checkpoint", "tenant_id"),
    ("webhook", "tenant_id"),
    ("webhook_outbox", "tenant_id"),
    ("license_notice", "tenant_id"),
    ("audit_beginning", "tenant_id"),
];
/// What the application may delete, of its own tenant.
const DELETABLE: [&str; 9] = [
    "product",
    "entitlement",
    "policy",
    "waiting",
    "webhook",
    "webhook_outbox",
    "license_notice",
    "subject",
    "idempotency",
];

/// Two tenants with a row in every table.
async fn two_tenants() -> Option<World> {
    let world = World::on_postgres().await?;
    for tenant in ["acme", "other"] {
        let license = world.license(tenant, "editor", 3).await;
        assert_eq!(world.acquire(user(tenant, "anna"), &license.key, "hw").await.status, 201);
        let mut superuser = world.postgres.as_ref().unwrap().connect_as("").await;
        let id = &license.id;
        for row in [
            format!("INSERT INTO subject VALUES ('{tenant}', 'zoe', 'suspended')"),
            format!("INSERT INTO product VALUES ('{tenant}', 'Editor', '', 0)"),
            format!("INSERT INTO entitlement VALUES ('{tenant}', '{id}', 'export')"),
            format!("INSERT INTO denial VALUES ('{tenant}', '{id}', 0, 'no_seats_available', 1)"),
            format!("INSERT INTO idempotency VALUES ('{tenant}', 'anna', 'k', 'r', 200, 'b', 0)"),
            format!("INSERT INTO policy VALUES ('{tenant}', 'p', 60, 60, 0, 0, 'own', 'allow', 1)"),
            format!("INSERT INTO checkpoint VALUES ('{tenant}', 1, 'h', 0, 's')"),
            format!(
                "INSERT INTO webhook VALUES ('{tenant}', 'w', 'https://x/', '*', 'disabled', '', 's', NULL, 0, 0)"
            ),
            format!(
                "INSERT INTO webhook_outbox VALUES ('{tenant}', 'o', 'w', 'e', 0, '{{}}', 0, 9000000000000)"
            ),
            format!("INSERT INTO license_notice VALUES ('{tenant}', '{id}', 'expired', 0)"),
            format!("INSERT INTO audit_beginning VALUES ('{tenant}', 1, 'h', 0)"),
            format!("INSERT INTO waiting VALUES ('{tenant}', '{id}', 'machine:x', 0, 0)"),
        ] {
            run(&mut superuser, &row).await;
        }
    }
    Some(world)
}

async fn count(connection: &mut PgConnection, query: String) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(connection).await.unwrap()
}

#[tokio::test]
async fn every_table_with_rows_of_tenants_forces_row_level_security() {
    let Some(world) = World::on_postgres().await else { return };
    let mut superuser = world.postgres.as_ref().unwrap().connect_as("").await;
    let tables = sqlx::query(
        "SELECT relname::text AS name, relrowsecurity AND relforcerowsecurity AS forced, \
         pg_get_userbyid(relowner)::text AS owner FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace",
    )
    .fetch_all(&mut superuser)
    .await
    .unwrap();
    let mut guarded = 0;
    for table in &tables {
        let name: String = table.get("name");
        if ["_sqlx_migrations", "memory", "signing_key", "data_key", "accelerator", "test_clock"]
            .contains(&name.as_str())
        {
            continue;
        }
        assert!(table.get::<bool, _>("forced"), "{name}");
        assert_eq!(table.get::<String, _>("owner"), "license_test_owner");
        assert!(
            TENANT_TABLES.iter().any(|(known, _)| *known == name),
            "`{name}` is not tested here"
        );
        guarded += 1;
    }
    assert_eq!(guarded, TENANT_TABLES.len());
}

#[tokio::test]
async fn with_no_tenant_set_there_is_nothing_to_see_or_write() {
    let Some(world) = two_tenants().await else { return };
    let mut app = world.postgres.as_ref().unwrap().connect_as(APP).await;
    // Once as a fresh connection, once as a pooled one that a tenant's transaction used before.
    for _ in 0..2 {
        for (table, column) in TENANT_TABLES {
            assert_eq!(
                count(&mut app, format!("SELECT count(*) FROM {table}")).await,
                0,
                "{table}"
            );
            let touched =
                sqlx::query(AssertSqlSafe(format!("UPDATE {table} SET {column} = {column}")))
                    .execute(&mut app)
                    .await;
            // No row to touch, or not even the right to.
            assert_eq!(touched.map_or(0, |touched| touched.rows_affected()), 0);
        }
        assert!(
            sqlx::query("INSERT INTO tenant VALUES ('x', 'active', 0)")
                .execute(&mut app)
                .await
                .is_err()
        );
        assert!(
            sqlx::query("INSERT INTO tenant VALUES ('', 'active', 0)")
                .execute(&mut app)
                .await
                .is_err()
        );
        run(&mut app, "BEGIN; SET LOCAL app.tenant_id = 'acme'; SELECT * FROM license; COMMIT")
            .await;
    }
}

#[tokio::test]
async fn a_tenant_sees_and_touches_its_own_rows_alone() {
    let Some(world) = two_tenants().await else { return };
    let mut app = world.postgres.as_ref().unwrap().connect_as(APP).await;
    run(&mut app, "SET app.tenant_id = 'acme'").await;
    for (table, column) in TENANT_TABLES {
        assert!(count(&mut app, format!("SELECT count(*) FROM {table}")).await > 0, "{table}");
        let foreign = format!("SELECT count(*) FROM {table} WHERE {column} <> 'acme'");
        assert_eq!(count(&mut app, foreign).await, 0, "{table}");
        let touched = sqlx::query(AssertSqlSafe(format!(
            "UPDATE {table} SET {column} = {column} WHERE {column} = 'other'"
        )))
        .execute(&mut app)
        .await;
        assert_eq!(touched.map_or(0, |touched| touched.rows_affected()), 0, "{table}");
        // No row can be given to another tenant, and none deleted but what the API deletes.
        let deleted =
            sqlx::query(AssertSqlSafe(format!("DELETE FROM {table} WHERE {column} = 'other'")))
                .execute(&mut app)
                .await;
        assert_eq!(deleted.map_or(0, |deleted| deleted.rows_affected()), 0, "{table}");
        if !DELETABLE.contains(&table) {
            let all =
                sqlx::query(AssertSqlSafe(format!("DELETE FROM {table}"))).execute(&mut app).await;
            assert!(all.is_err(), "{table}");
        }
        for statement in [
            format!("UPDATE {table} SET {column} = 'other'"),
            format!("TRUNCATE {table} CASCADE"),
            format!("ALTER TABLE {table} DISABLE ROW LEVEL SECURITY"),
            format!("DROP POLICY own_tenant ON {table}"),
        ] {
            assert!(
                sqlx::query(AssertSqlSafe(statement.clone())).execute(&mut app).await.is_err(),
                "{statement}"
            );
        }
    }
    let stolen = "INSERT INTO license SELECT 'other', 'x', 'x', 'x', sha256('x'), 1, 'per_user', 'active', NULL, 0, 0";
    assert!(sqlx::query(stolen).execute(&mut app).await.is_err());
    for statement in [
        "SET row_security = off; SELECT * FROM license",
        "SET ROLE license_test_owner",
        "SET ROLE postgres",
    ] {
        assert!(sqlx::raw_sql(statement).execute(&mut app).await.is_err(), "{statement}");
    }
}

#[tokio::test]
async fn a_session_cannot_be_written_under_another_tenants_license() {
    let Some(world) = two_tenants().await else { return };
    let mut superuser = world.postgres.as_ref().unwrap().connect_as("").await;
    // Not even by one who is above row-level security: the key begins with the tenant.
    let crossed = "UPDATE session SET tenant_id = 'acme' WHERE tenant_id = 'other'";
    let error = sqlx::query(crossed).execute(&mut superuser).await.unwrap_err();
    assert!(error.as_database_error().unwrap().is_foreign_key_violation(), "{error}");
}

#[tokio::test]
async fn a_service_that_could_see_past_the_isolation_does_not_start() {
    let Some(mut world) = World::on_postgres().await else { return };
    world.stop().await;
    let postgres = world.postgres.as_ref().unwrap();
    let mut privileged = postgres.settings.clone();
    privileged.url = privileged.owner_url.clone().unwrap();
    let mut settings = world.settings();
    settings.database = Database::Postgres(privileged);
    let error = Service::start(settings, world.clock.clone()).await.unwrap_err();
    assert!(matches!(error, StartError::Store(OpenError::Privileged)), "{error:?}");
}

#[tokio::test]
async fn a_service_on_an_older_schema_or_a_dead_server_does_not_start() {
    let Some(mut world) = World::on_postgres().await else { return };
    world.stop().await;
    let mut superuser = world.postgres.as_ref().unwrap().connect_as("").await;
    run(&mut superuser, "DELETE FROM _sqlx_migrations").await;
    let error = Service::start(world.settings(), world.clock.clone()).await.unwrap_err();
    assert!(matches!(error, StartError::Store(OpenError::SchemaTooOld)), "{error:?}");
    let mut settings = world.settings();
    let Database::Postgres(mut gone) = settings.database else { panic!() };
    gone.url = Secret::new(format!("postgres://x@localhost/x?host={}", world.path("").display()));
    settings.database = Database::Postgres(gone);
    settings.listen = Listen::Unix(world.path("other.sock"));
    let error = Service::start(settings, world.clock.clone()).await.unwrap_err();
    assert!(matches!(error, StartError::Store(OpenError::Database(_))), "{error:?}");
}
