package detect

// framework is what an app is made with.
type framework struct {
	name string
	// asgi reports that the app speaks ASGI; otherwise it speaks WSGI.
	asgi bool
}

// frameworks returns the classes and functions that make an app, by the names under
// which they are imported.
func frameworks() map[string]framework {
	table := map[string]framework{}
	for _, row := range []struct {
		framework
		constructors []string
	}{
		{framework{"fastapi", true}, []string{"fastapi.FastAPI", "fastapi.applications.FastAPI"}},
		{framework{"starlette", true}, []string{"starlette.applications.Starlette"}},
		{framework{"litestar", true}, []string{"litestar.Litestar", "litestar.app.Litestar"}},
		{framework{"quart", true}, []string{"quart.Quart", "quart.app.Quart"}},
		{framework{"flask", false}, []string{"flask.Flask", "flask.app.Flask", "apiflask.APIFlask", "flask_openapi3.OpenAPI"}},
		{framework{"django", false}, []string{"django.core.wsgi.get_wsgi_application"}},
		{framework{"django", true}, []string{"django.core.asgi.get_asgi_application", "channels.routing.ProtocolTypeRouter"}},
		{framework{"asgi", true}, []string{
			"falcon.asgi.App", "blacksheep.Application", "sanic.Sanic",
			"connexion.App", "connexion.AsyncApp", "connexion.FlaskApp", //nolint:misspell // a framework's name
			"socketio.ASGIApp", "fasthtml.common.FastHTML", "fasthtml.FastHTML", "esmerald.Esmerald",
		}},
		{framework{"wsgi", false}, []string{"falcon.App", "bottle.Bottle", "socketio.WSGIApp"}},
	} {
		for _, constructor := range row.constructors {
			table[constructor] = row.framework
		}
	}
	return table
}
